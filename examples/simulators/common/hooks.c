/* Owns the queue of webhooks and the thread that sends them; see hooks.h. */
#include "hooks.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANSWER_MAX 1024
#define TIMEOUT_MS 5000

struct hook {
    struct hook *next;
    int64_t due_ms;
    int tries;
    char *url, *header, *body, *answer;
};

struct hooks {
    const char *program;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct hook *first; /* by due_ms */
    int n;
    bool ending;
};

struct heard {
    size_t len;
    char text[ANSWER_MAX + 1];
};

static int64_t utc_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static char *copy(const char *text)
{
    char *made = text ? strdup(text) : NULL;
    if (text && !made)
        abort();
    return made;
}

static void hook_free(struct hook *h)
{
    free(h->url);
    free(h->header);
    free(h->body);
    free(h->answer);
    free(h);
}

/* Takes `h`. The mutex is held. */
static void insert(struct hooks *s, struct hook *h)
{
    struct hook **at = &s->first;
    while (*at && (*at)->due_ms <= h->due_ms)
        at = &(*at)->next;
    h->next = *at;
    *at = h;
    s->n++;
    pthread_cond_signal(&s->changed);
}

static size_t hear(char *data, size_t size, size_t n, void *arg)
{
    struct heard *heard = arg;
    size_t room = ANSWER_MAX - heard->len, len = size * n;
    memcpy(heard->text + heard->len, data, len < room ? len : room);
    heard->len += len < room ? len : room;
    return len;
}

static bool deliver(const struct hooks *s, const struct hook *h)
{
    struct heard heard = {0};
    long status = 0;
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    for (const char *at = h->header; at && *at;) {
        char line[512];
        const size_t n = strcspn(at, "\n");
        snprintf(line, sizeof line, "%.*s", (int)n, at);
        headers = curl_slist_append(headers, line);
        at += n + (at[n] == '\n');
    }
    curl_easy_setopt(curl, CURLOPT_URL, h->url);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, h->body);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, hear);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &heard);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    if (curl_easy_perform(curl) == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    fprintf(stderr, "%s: webhook, try %d: %ld\n", s->program, h->tries, status);
    return status == 200 && (!h->answer || strstr(heard.text, h->answer));
}

static void *run(void *arg)
{
    struct hooks *s = arg;
    pthread_mutex_lock(&s->mutex);
    while (!s->ending) {
        struct hook *h = s->first;
        int64_t now = utc_ms();
        if (!h) {
            pthread_cond_wait(&s->changed, &s->mutex);
            continue;
        }
        if (h->due_ms > now) {
            struct timespec until = {.tv_sec = (time_t)(h->due_ms / 1000),
                                     .tv_nsec = (long)(h->due_ms % 1000) * 1000000};
            pthread_cond_timedwait(&s->changed, &s->mutex, &until);
            continue;
        }
        s->first = h->next;
        s->n--;
        pthread_mutex_unlock(&s->mutex);
        h->tries++;
        bool again = !deliver(s, h) && h->tries < HOOK_TRIES;
        pthread_mutex_lock(&s->mutex);
        if (again) {
            h->due_ms = utc_ms() + HOOK_RETRY_MS;
            insert(s, h);
        } else {
            hook_free(h);
        }
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

struct hooks *hooks_start(const char *program)
{
    struct hooks *s = calloc(1, sizeof *s);
    if (!s || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        abort();
    s->program = program;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->changed, NULL);
    if (pthread_create(&s->thread, NULL, run, s) != 0)
        abort();
    return s;
}

void hooks_end(struct hooks *s)
{
    struct hook *next;
    if (!s)
        return;
    pthread_mutex_lock(&s->mutex);
    s->ending = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->mutex);
    pthread_join(s->thread, NULL);
    for (struct hook *h = s->first; h; h = next) {
        next = h->next;
        hook_free(h);
    }
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

void hooks_add(struct hooks *s, int64_t due_ms, const char *url, const char *header, const char *body,
               const char *answer)
{
    struct hook *h = calloc(1, sizeof *h);
    if (!h)
        abort();
    *h = (struct hook){
        .due_ms = due_ms, .url = copy(url), .header = copy(header), .body = copy(body), .answer = copy(answer)};
    pthread_mutex_lock(&s->mutex);
    if (s->n < HOOKS_MAX) {
        insert(s, h);
        h = NULL;
    }
    pthread_mutex_unlock(&s->mutex);
    if (h) {
        fprintf(stderr, "%s: too many webhooks wait; one is dropped\n", s->program);
        hook_free(h);
    }
}
