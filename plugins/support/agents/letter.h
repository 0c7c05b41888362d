/* The message to the customer: what it must say, as a template says it, and whether another text says the same. Pure;
 * any thread. */
#ifndef LETTER_H
#define LETTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define LETTER_SIZE 24000
#define SUBJECT_SIZE 160

struct letter {
    const char *name;        /* of the customer; "" */
    const char *ticket_id;   /* */
    const char *description; /* of the ticket */
    const char *company, *plan;
    const char *root_cause;
    const json_t *steps;  /* of the analysis: strings */
    const char *solution; /* of the support team, which takes the place of cause and steps; "" */
    const char *sender;   /* who signs */
    bool entitled;
    bool found; /* the analysis led to something */
};

/* Writes subject and text. */
void letter_write(const struct letter *l, char ret_subject[SUBJECT_SIZE], char ret_text[LETTER_SIZE]);
/* The same for something that the team must know of the customer. */
void letter_ask(const struct letter *l, const char *question, char ret_subject[SUBJECT_SIZE],
                char ret_text[LETTER_SIZE]);
/* Whether `text` says all that a letter must say: it names customer and ticket, and has the solution, or each step,
 * word for word. */
bool letter_complete(const struct letter *l, const char *text);

#endif
