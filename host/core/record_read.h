/* Records of turns as they are stored: short since format 11, whole before. What is left out of a message follows from
 * the row; here it is filled in, so that a reader sees one form. Pure; any thread. */
#ifndef HOST_CORE_RECORD_READ_H
#define HOST_CORE_RECORD_READ_H

#include <cvm/cvm.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* The columns of the row that messages are filled in from. */
struct record_row {
    int64_t at_ms, conversation;
    cvm_id message;        /* none: the turn had none */
    const char *component; /* never NULL, nor the others */
    const char *type, *sender;
    const char *name; /* of the conversation in `contexts`; NULL: it has no row there, or it is not asked for */
};

/* Messages and ids of a parsed record become whole. One that is whole stays as it is. CVM_ENOMEM. */
int record_whole(json_t *record, const struct record_row *row);

/* What a query selects besides "record" so that record_unpack() can make it whole; `t`: the table turns in it. */
#define RECORD_COLUMNS(t)                                                                                              \
    t ".at_ms AS _at_ms, " t ".conversation AS _key, " t ".component AS _component, hex(" t                            \
      ".message) AS _message, " t ".type AS _type, " t                                                                 \
      ".sender AS _sender, (SELECT c.name FROM contexts c WHERE c.conversation = " t ".conversation) AS _name"

/* What is under "record" of such a row, text or parsed, becomes the whole record, where it is one; the columns above
 * go. */
void record_unpack(json_t *row);

/* How much of a row's type is the operation's: all but the ".reply" of an answer. */
size_t record_type_length(const char *type);

#endif
