/* The plugin's handlers and jobs, and what its files share. Handlers run on the loop's thread, jobs on their own. */
#ifndef LIFECYCLE_LEARN_LEARN_H
#define LIFECYCLE_LEARN_LEARN_H

#include <cvm/cvm.h>
#include <cvm/json.h>

struct csv;

#define LEARN_POLICY "learn.policy"
#define LEARN_TEXT_SIZE 400 /* of a sentence about what is wrong */

/* ---- jobs: evaluate_job.c, clv_job.c, compare_job.c ---- */
int evaluate_job(cvm_job *j, const json_t *input, json_t **ret_result);
int clv_job(cvm_job *j, const json_t *input, json_t **ret_result);
int compare_job(cvm_job *j, const json_t *input, json_t **ret_result);

/* ---- shared: shared.c ---- */

/* "x=a,y=b" split at commas: the text behind `name`= of an option, and its length; false: it is not there. */
bool learn_column(const char *columns, const char *name, const char **ret_text, size_t *ret_len);
/* What is named in it that is none of the names (ending with NULL); NULL: nothing. Into `room`. */
const char *learn_unknown_column(const char *columns, const char *const *names, char room[64]);

/* Fails where the name of that column of the header is there once more. */
CVM_MUST_USE int learn_once(cvm_job *j, const struct csv *csv, int at);
#define LEARN_MORE_FIELDS "has more fields than the header" /* fault of a row */

/* Faulty rows of a file: all are counted, the first ones named. */
struct learn_faults {
    json_t *list; /* {"line", "fault"} */
    int64_t n;
};
void learn_fault(struct learn_faults *f, int64_t line, const char *text);

/* Rounded to so many digits behind the point; null for one that is no finite number. Gives. */
json_t *learn_number(double x, int digits);
/* Rounded to six digits in all. */
json_t *learn_figure(double x);

/* The whole of a text file of at most 16 MiB; free() it. CVM_ELIMIT: it is longer. */
CVM_MUST_USE int learn_text(cvm_job *j, const char *path, char **ret_text);
/* Fails with a sentence: what cannot be read, and why. */
CVM_MUST_USE int learn_unreadable(cvm_job *j, const char *path, int error);

#endif
