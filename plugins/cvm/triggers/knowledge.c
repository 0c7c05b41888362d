/* The lexicon, the labelled histories and the thesaurus, learnt once: the files are read by each job (a millisecond)
 * and learnt from only when they have changed. Jobs run on threads of their own, so a lock guards the one in use; each
 * job holds a reference. */
#include "triggers.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX (16 * 1024 * 1024)
#define FILES 4
#define EXAMPLES_MIN 20 /* fewer teach nothing: rules alone */

struct shared {
    struct knowledge k; /* first */
    int refs;
    uint64_t hash;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shared *current;

static void drop(struct shared *s)
{
    if (s && --s->refs == 0) {
        judge_free(s->k.judge);
        custom_terms_free(s->k.terms);
        free(s);
    }
}

void knowledge_release(const struct knowledge *k)
{
    pthread_mutex_lock(&lock);
    drop((struct shared *)(uintptr_t)k);
    pthread_mutex_unlock(&lock);
}

/* The text of a file of the manifest's folder. */
static int read_file(cvm_job *j, const char *name, struct text_file *ret_text)
{
    cvm_file *f;
    const char *line;
    char path[80], why[160];
    size_t len;
    int e;
    snprintf(path, sizeof path, "manifest:%s", name);
    if ((e = cvm_job_file(j, path, &f)) < 0) {
        snprintf(why, sizeof why, "%s of manifests/triggers: %s", name, cvm_strerror(e));
        return cvm_job_fail(j, "NO_KNOWLEDGE", why);
    }
    while ((e = cvm_file_line(f, &line, &len)) > 0 && ret_text->len < FILE_BYTES_MAX) {
        text_file_add(ret_text, line, len);
        text_file_add(ret_text, "\n", 1);
    }
    cvm_file_close(f);
    return e < 0 ? e : ret_text->failed ? CVM_ENOMEM : 0;
}

static uint64_t hash_of(uint64_t h, const struct text_file *f)
{
    for (size_t i = 0; i < f->len; i++)
        h = (h ^ (unsigned char)f->text[i]) * 1099511628211u;
    return h;
}

static int learn_histories(struct judge *judge, const struct text_file *f, char *why, size_t size)
{
    size_t line = 0;
    for (const char *at = f->text, *end; at && *at; at = end + 1) {
        end = strchr(at, '\n');
        line++;
        json_t *history = end > at ? json_loadb(at, (size_t)(end - at), 0, NULL) : NULL;
        int e = 0;
        if (end > at && !history) {
            snprintf(why, size, "line %zu of the histories is no JSON", line);
            return CVM_EINVAL;
        }
        if (history && strcmp(cvm_json_str(history, "record", "customer"), "custom_trigger"))
            e = judge_example(judge, history, why, size);
        json_decref(history);
        if (e < 0)
            return e;
    }
    return 0;
}

static int make(cvm_job *j, struct text_file files[FILES], struct shared **ret_shared)
{
    char why[256] = "";
    json_t *lexicon = json_loadb(files[0].text, files[0].len, 0, NULL);
    json_t *terms = json_loadb(files[1].text, files[1].len, 0, NULL);
    struct shared *s = calloc(1, sizeof *s);
    int e = s ? 0 : CVM_ENOMEM;
    if (e == 0 && (!lexicon || !terms)) {
        e = CVM_EINVAL;
        snprintf(why, sizeof why, "%s is no JSON", lexicon ? "terms.json" : "lexicon.json");
    }
    if (e == 0)
        e = judge_new(lexicon, &s->k.judge, why, sizeof why);
    if (e == 0)
        e = custom_terms_new(terms, &s->k.terms, why, sizeof why);
    if (e == 0)
        e = learn_histories(s->k.judge, &files[2], why, sizeof why);
    if (e == 0)
        e = learn_histories(s->k.judge, &files[3], why, sizeof why);
    if (e == 0 && judge_examples(s->k.judge) >= EXAMPLES_MIN)
        e = judge_learn(s->k.judge);
    json_decref(lexicon);
    json_decref(terms);
    if (e < 0) {
        if (s) {
            s->refs = 1;
            drop(s);
        }
        return *why ? cvm_job_fail(j, "BAD_KNOWLEDGE", why) : e;
    }
    *ret_shared = s;
    return 0;
}

int knowledge_take(cvm_job *j, const struct knowledge **ret_knowledge)
{
    static const char *const names[FILES] = {"lexicon.json", "terms.json", "histories.jsonl", "remarks.jsonl"};
    struct text_file files[FILES] = {{0}};
    struct shared *s = NULL;
    uint64_t hash = 14695981039346656037u;
    int e = 0;
    for (size_t i = 0; e == 0 && i < FILES; i++) {
        e = read_file(j, names[i], &files[i]);
        text_file_add(&files[i], "", 0);
        hash = hash_of(hash, &files[i]);
    }
    pthread_mutex_lock(&lock);
    if (e == 0 && current && current->hash == hash)
        s = current;
    if (e == 0 && !s) {
        cvm_job_progress(j, 0, 0, "learning from labelled histories");
        e = make(j, files, &s);
        if (e == 0) {
            s->hash = hash;
            s->refs = 1;
            drop(current);
            current = s;
        }
    }
    if (e == 0) {
        s->refs++;
        *ret_knowledge = &s->k;
    }
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < FILES; i++)
        text_file_fini(&files[i]);
    return e;
}

/* No job of this build runs any more. */
void knowledge_forget(void *instance)
{
    (void)instance;
    drop(current);
    current = NULL;
}
