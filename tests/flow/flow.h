/* What every flow test needs: a home of its own, a real host in it, the command line and HTTP to talk to it.
 *
 *     START_TEST(answers)
 *     {
 *         struct flow *f = flow_new();
 *         flow_plugin(f, "faulty");
 *         flow_start(f);
 *         struct flow_answer a;
 *         ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, &a), 200);
 *         flow_answer_free(&a);
 *         flow_end(f);
 *     }
 *     END_TEST
 *     int main(void)
 *     {
 *         TCase *c = tcase_create("serve");
 *         tcase_set_timeout(c, 60);
 *         tcase_add_test(c, answers);
 *         return flow_main("serve", (TCase *[]){c, NULL});
 *     }
 *
 * Whatever cannot be done fails the test with a sentence, so only what a test is about need be checked. A home is
 * removed by flow_free; that of a failed test stays and its path is printed. Check ends all processes of a failed test.
 * Paths of the build and of the sources are found from where the test program lies. */
#ifndef TESTS_FLOW_FLOW_H
#define TESTS_FLOW_FLOW_H

#include <check.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FLOW_WAIT_MS 20000 /* the longest that anything may take; sanitizers are slow */

struct flow {
    char home[64];
    char url[64];       /* "http://127.0.0.1:PORT" once it serves */
    pid_t pid;          /* of the supervisor; 0: not running */
    pid_t host;         /* of the process it supervises, as of the last flow_wait_serving */
    int port;           /* asked for with --port; 0 takes a free one */
    int served;         /* "serving on" lines seen: how often a host has become ready */
    char *start_errors; /* what an unsuccessful flow_start_status wrote to stderr */
    char *program;      /* in place of the build's cvmhost; free()d by flow_free. NULL: that */
    json_t *config;     /* config/cvmhost.json, written by flow_start; set with flow_config */
    char *env[32];      /* "NAME=value" for host and commands */
    int n_env;
    pid_t spawned[16]; /* flow_spawn */
    int n_spawned;
    int64_t command_ms; /* for a command to end; 0: FLOW_WAIT_MS */
};

/* ---- the home ---- */

struct flow *flow_new(void);
void flow_free(struct flow *f); /* kills what still runs and removes the home */

/* Puts a plugin with its manifest and the manifest's folder into the home: one of tests/plugins, examples or the
 * product's. */
void flow_plugin(struct flow *f, const char *name);
/* All of the product's plugins, and its config/ folder. */
void flow_product(struct flow *f);

/* Sets a setting by dotted path ("http.public"). `value` is taken. Before flow_start. */
void flow_config(struct flow *f, const char *path, json_t *value);
void flow_write_config(struct flow *f); /* as it is now, for a reload */
/* Writes config/cvmhost.json as it is, for faulty ones; flow_config is over then. */
void flow_config_text(struct flow *f, const char *text);
void flow_env(struct flow *f, const char *name, const char *value);
/* Writes a file of the home; reads one (free() it; NULL: there is none). */
void flow_write(struct flow *f, const char *name, const char *text);
char *flow_read(struct flow *f, const char *name);
void flow_remove(struct flow *f, const char *name);
/* BUILD/name and SOURCE/name, in a buffer that the next call overwrites. */
const char *flow_build(const char *name);
const char *flow_source(const char *name);

/* ---- the host ---- */

void flow_start(struct flow *f);                                  /* `cvmhost serve`; returns when it serves */
void flow_start_with(struct flow *f, const char *const *options); /* further options, ending with NULL */
/* The same for a start that is to fail: its exit status; f->start_errors has what it said. */
int flow_start_status(struct flow *f, const char *const *options);
/* Until a host is ready once more than at the last call: after a crash. Gives the milliseconds waited. */
int64_t flow_wait_serving(struct flow *f);
void flow_kill(struct flow *f, int signal_number); /* the supervised process */
int flow_stop(struct flow *f);     /* SIGTERM to the supervisor; its exit status, 128 + n for a signal */
void flow_end(struct flow *f);     /* stops it, which must succeed, and frees it */
int flow_wait_end(struct flow *f); /* until the supervisor ends by itself; the same status */

/* Everything logged so far (free() it), and waiting for a text in it. */
char *flow_log(struct flow *f);
bool flow_logged(struct flow *f, const char *text);
void flow_wait_log(struct flow *f, const char *text);

/* ---- talking to it ---- */

struct flow_answer {
    int status;    /* of HTTP, or the exit status; 0: no answer (text says why) */
    char *text;    /* body, or standard output */
    char *errors;  /* standard error */
    char *headers; /* of HTTP, raw */
    json_t *json;  /* of text; NULL: it is none */
};

void flow_answer_free(struct flow_answer *a);

/* One HTTP request; `body` NULL for none, `headers` NULL or "Name: value" strings ending with NULL. Returns the
 * status; 0: no answer came. `ret` may be NULL. */
int flow_http(struct flow *f, const char *method, const char *path, const char *body, const char *const *headers,
              struct flow_answer *ret);

/* `cvmhost WORDS...` in the home, ending with NULL; returns the exit status. `ret` may be NULL. */
int flow_run(struct flow *f, struct flow_answer *ret, const char *const *words);
#define FLOW_RUN(f, ret, ...) flow_run(f, ret, (const char *const[]){__VA_ARGS__, NULL})

/* A command's exit status, and a text that must stand in what it wrote to standard output or error. */
void flow_expect(struct flow *f, int status, const char *text, const char *const *words);
#define EXPECT(f, status, text, ...) flow_expect(f, status, text, (const char *const[]){__VA_ARGS__, NULL})

/* `cvmhost agent call TO TYPE --data DATA --output json`; gives its JSON (json_decref), NULL with another exit status
 * than 0. `ret_status` may be NULL. */
json_t *flow_call(struct flow *f, const char *to, const char *type, const char *data, int *ret_status);

/* Rows of a query to data/cvmhost.db, read-only: an array of objects (json_decref). */
json_t *flow_sql(struct flow *f, const char *sql);
int64_t flow_sql_int(struct flow *f, const char *sql); /* the first column of the first row; 0 where there is none */

int flow_connect(const struct flow *f); /* the control socket; -1: nobody listens */

/* ---- other programs ---- */

/* Starts a program of the build (argv[0] is relative to it, or absolute), output to HOME/NAME.txt. It is killed by
 * flow_free. */
pid_t flow_spawn(struct flow *f, const char *name, const char *const *argv);
int flow_free_port(void); /* a port that was free a moment ago */
int flow_kept_port(
    void); /* the same below those that the system gives to connections, to be told to others before it is bound */

/* ---- time ---- */

int64_t flow_now_ms(void);
int64_t flow_now_us(void);
void flow_sleep_ms(int ms);
/* Repeats until `condition` holds; fails the test after FLOW_WAIT_MS. */
#define FLOW_UNTIL(condition)                                                                                          \
    do {                                                                                                               \
        int64_t flow_until_ = flow_now_ms() + FLOW_WAIT_MS;                                                            \
        while (!(condition)) {                                                                                         \
            ck_assert_msg(flow_now_ms() < flow_until_, "waited in vain: %s", #condition);                              \
            flow_sleep_ms(5);                                                                                          \
        }                                                                                                              \
    } while (0)

/* ---- the program ---- */

/* Runs the cases (ending with NULL), one process per test. Returns main's status. */
int flow_main(const char *suite, TCase *const *cases);

#endif
