/* Results for people and for programs: aligned tables, "key: value" lists, comma-separated rows, JSON. Control
 * characters of the data never reach a terminal. Pure but for the stream. */
#ifndef HOST_CLI_SHOW_H
#define HOST_CLI_SHOW_H

#include "cli/cli.h"

/* Columns of a terminal that a text takes. */
size_t show_width(const char *text);

/* A value in one line: text as it is, scalars as JSON, lists of scalars with commas, the rest as compact JSON. For
 * free(). */
char *show_cell(const json_t *value);

/* Names with a space between them, as an array of columns. Gives a new value. */
json_t *show_names(const char *list);

/* Rows (array of objects) with a header. `columns` (array of names) chooses and orders; NULL: all members that are
 * scalar or lists of scalars, in the order in which they first come. */
void show_table(const struct cli *cli, const json_t *rows, const json_t *columns);
/* The same for programs, by RFC 4180: without `columns` all members, those that are nested as compact JSON. */
void show_csv(const struct cli *cli, const json_t *rows, const json_t *columns);
/* An object as "key: value" lines; objects in it are indented, arrays of objects are lists. `columns` as above, NULL:
 * all members. */
void show_object(const struct cli *cli, const json_t *object, const json_t *columns);
void show_json(const struct cli *cli, const json_t *value); /* indented on a terminal, else one line */
void show_line(const struct cli *cli, const json_t *value); /* always one line, flushed */
/* Text with control characters made visible. */
void show_text(FILE *out, const char *text);

/* A result as the options say: `rows` names the member that holds the table (NULL: none). */
void show_result(const struct cli *cli, const json_t *data, const char *rows, const json_t *columns);
/* An array of objects as the options say. */
void show_rows(const struct cli *cli, const json_t *rows, const json_t *columns);

const char *show_bold(const struct cli *cli); /* "" without colour */
const char *show_dim(const struct cli *cli);
const char *show_red(const struct cli *cli);
const char *show_green(const struct cli *cli);
const char *show_plain(const struct cli *cli);

/* One line for an envelope: time, who to whom, what. */
void show_envelope(const struct cli *cli, FILE *out, const json_t *envelope);

#endif
