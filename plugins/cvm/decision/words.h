/* What a customer's words in a call or a chat are about, how they sound, and whether the matter was solved. Word lists,
 * no model: a journey must be there without one. Pure; any thread. */
#ifndef CVM_DECISION_WORDS_H
#define CVM_DECISION_WORDS_H

#include <stdbool.h>
#include <stddef.h>

enum topic { TOPIC_NETWORK, TOPIC_BILLING, TOPIC_ROAMING, TOPIC_LEAVING, TOPIC_OTHER, TOPICS };
enum tone { TONE_NEGATIVE, TONE_NEUTRAL, TONE_POSITIVE };
enum ending { ENDING_UNKNOWN, ENDING_SOLVED, ENDING_OPEN };

struct reading {
    enum topic topic;   /* what most of the words are about */
    bool about[TOPICS]; /* all that are spoken of */
    enum tone tone;     /* of the customer's words */
    enum ending ending; /* "still not working", "that fixed it"; of both sides */
};

extern const char *const topic_names[TOPICS];    /* "network" */
extern const char *const topic_triggers[TOPICS]; /* "network_issues"; NULL for other */
extern const char *const tone_names[3];          /* "NEGATIVE" */

/* Reads a transcript. Lines that begin with "agent:" are the operator's; where no line says who speaks, all are the
 * customer's. */
void words_read(const char *transcript, struct reading *ret);
/* The customer's own sentence that says most, at most `size` - 1 bytes, cut at a word. */
void words_gist(const char *transcript, char *ret, size_t size);
/* Cuts UTF-8 text at a word so that it has less than `size` bytes, with "..." where something is left out. */
void words_cut(const char *text, char *ret, size_t size);

#endif
