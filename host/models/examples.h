/* Labelled texts: what models are trained and judged on. A head is one question asked of every text, a label one of its
 * answers; a text may leave a head unanswered. Reads CSV, TSV and JSON lines. Any thread, one at a time. */
#ifndef HOST_MODELS_EXAMPLES_H
#define HOST_MODELS_EXAMPLES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXAMPLES_HEADS 16
#define EXAMPLES_LABELS 1024      /* of a head */
#define EXAMPLES_NAME_BYTES 128   /* of a head or a label, with its NUL */
#define EXAMPLES_TEXT_BYTES 16384 /* of a text */
#define EXAMPLES_COUNT 200000
#define EXAMPLES_FILE_BYTES (256 * 1024 * 1024)

struct examples_head {
    char name[EXAMPLES_NAME_BYTES];
    size_t n_fields;
    char **fields; /* members of a JSON example whose values, joined with "/", are its label */
    size_t n_labels;
    char **labels; /* in the order in which they came; sorted by examples_sort */
    json_t *ids;   /* label -> index */
};

struct examples {
    size_t n_heads, n, room;
    struct examples_head heads[EXAMPLES_HEADS];
    char **texts;
    int32_t *labels; /* [example][head]; -1: none */
};

void examples_init(struct examples *e);
void examples_fini(struct examples *e);

/* Adds a head. `fields`: an array of names, or NULL where the label is named as the head. CVM_EINVAL, CVM_ELIMIT. */
int examples_head(struct examples *e, const char *name, const json_t *fields) __attribute__((warn_unused_result));
/* Adds heads by {"name": ["field", ..], ..}; in ret_error what is wrong with them. */
int examples_heads(struct examples *e, const json_t *heads, char *ret_error, size_t error_size);

/* Adds a text; `labels` has one per head, NULL: unanswered. Copies all. CVM_ELIMIT, CVM_ENOMEM. */
int examples_add(struct examples *e, const char *text, const char *const *labels) __attribute__((warn_unused_result));
/* The same of {"text", "notes", ..} by the heads' fields. `domain` stands in for an absent member "domain"; NULL:
 * nothing does. CVM_EINVAL: no text, or a field that is no string, number or boolean (ret_error). */
int examples_add_json(struct examples *e, const json_t *example, const char *domain, char *ret_error,
                      size_t error_size);

/* Labels in byte order: a model does not depend on which came first. CVM_ENOMEM. */
int examples_sort(struct examples *e) __attribute__((warn_unused_result));
int32_t examples_label(const struct examples *e, size_t head, const char *label); /* -1: there is none */
/* Only those of `from` with keep(i): borrowed texts, same heads; ends with free of the two arrays by
 * examples_part_fini. */
int examples_part(const struct examples *from, const uint8_t *fold, uint8_t which, bool inside,
                  struct examples *ret_part) __attribute__((warn_unused_result));
void examples_part_fini(struct examples *part);

/* Reads a file: .jsonl and .json as JSON lines, by the heads that `e` has already; else a table with columns parted by
 * tabs (.tsv) or commas, of which `text_column` is the text and `label_column` the label of the only head (NULL: the
 * first and second; a first line that names neither is data when both are NULL). On error a sentence with the line's
 * number. `domain`: as for examples_add_json. */
int examples_read(struct examples *e, const char *path, const char *domain, const char *text_column,
                  const char *label_column, char *ret_error, size_t error_size);

#endif
