/* What the files of the manifest reader share. Nothing else includes this. */
#ifndef HOST_CORE_MANIFEST_PARTS_H
#define HOST_CORE_MANIFEST_PARTS_H

#include "manifest.h"
#include "seen.h"

/* A manifest while it is read; `error` receives the first fault. */
struct reading {
    struct manifest *m;
    json_t *saved_domain; /* of a saved copy: the domain with its files; NULL: they are read */
    json_t *saved_examples;
    json_t *saved_pages;
    bool saved; /* it is a copy: nothing is read beside it */
    struct seen *seen;
    bool known; /* the manifest's own file was checked by an earlier start */
    char *error;
    size_t error_size;
};

/* The path of a field, such as "components[2].operations[0].expose". */
struct field {
    char text[160];
};
const char *manifest_field(struct field *field, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes "<file>: <field>: <text>" and returns CVM_EINVAL. */
int manifest_wrong(struct reading *r, const char *field, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Compiles a schema of the document; faults are reported under `field` and the keyword's pointer. */
int manifest_compile(struct reading *r, const json_t *schema, const char *field, struct schema **ret_schema);

/* Makes *ret_strings of an array of strings (NULL: empty); a string that occurs twice is a fault. */
int manifest_strings_make(struct reading *r, const json_t *array, const char *field,
                          struct manifest_strings *ret_strings);

/* The path of `name` in the manifest's folder. CVM_ENOENT where there is no such file; a way out of the folder, also
 * by a symbolic link, is a fault. Gives *ret_path (for free()). */
int manifest_inside(struct reading *r, const char *name, const char *field, char **ret_path);

/* A file that belongs to the manifest, as file_read reads it. `ret_known`: it was checked by an earlier start as
 * one of the same sort, which is any letter. */
int manifest_read_file(struct reading *r, const char *path, char sort, size_t limit, char **ret_text, size_t *ret_len,
                       bool *ret_known, char *ret_why, size_t why_size);
int manifest_read_json(struct reading *r, const char *path, size_t limit, json_t **ret_json, bool *ret_known,
                       char *ret_why, size_t why_size);
void manifest_read_none(struct reading *r, const char *path); /* it is not there, which is no fault */

int manifest_read_tables(struct reading *r, const json_t *tables);
int manifest_read_jobs(struct reading *r, const json_t *jobs); /* after tables and calls */
int manifest_read_domain(struct reading *r, const json_t *domain);
int manifest_read_pages(struct reading *r, const json_t *pages);
void manifest_free_pages(struct manifest *m);
int manifest_read_streams(struct reading *r, const json_t *streams);
void manifest_free_streams(struct manifest *m);
int manifest_read_models(struct reading *r, const json_t *models, const json_t *needed);
int manifest_read_workflows(struct reading *r, const json_t *workflows);
/* What no schema can say: names that occur twice, references to what is not there. */
int manifest_check(struct reading *r);

/* The text of sdk/manifest.schema.json, in the binary. */
extern const char manifest_schema_text[];
extern const char manifest_schema_end[];

#endif
