/* Owns what the connections share: the scripts that tests put, the log of requests. Any thread. */
#include "llm_sim.h"

#include <pthread.h>
#include <string.h>

#define REQUESTS_KEPT 1000
#define SCRIPTS_MAX 1000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static json_t *scripts, *requests;

static bool is_for(const json_t *script, const char *model)
{
    const char *only = json_string_value(json_object_get(script, "model"));
    return !only || !strcmp(only, model);
}

json_t *script_take(const char *model)
{
    json_t *found = NULL;
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; !found && i < json_array_size(scripts); i++) {
        json_t *script = json_array_get(scripts, i), *times = json_object_get(script, "times");
        if (!is_for(script, model))
            continue;
        found = json_deep_copy(script);
        json_int_t left = json_is_integer(times) ? json_integer_value(times) - 1 : 0;
        if (left > 0)
            json_object_set_new(script, "times", json_integer(left));
        else
            json_array_remove(scripts, i);
    }
    pthread_mutex_unlock(&mutex);
    return found;
}

void script_add(json_t *script)
{
    pthread_mutex_lock(&mutex);
    if (!scripts)
        scripts = json_array();
    if (json_array_size(scripts) < SCRIPTS_MAX)
        json_array_append_new(scripts, script);
    else
        json_decref(script);
    pthread_mutex_unlock(&mutex);
}

void script_clear(void)
{
    pthread_mutex_lock(&mutex);
    json_array_clear(scripts);
    json_array_clear(requests);
    pthread_mutex_unlock(&mutex);
}

void script_log(const char *path, const char *authorization, const json_t *body)
{
    pthread_mutex_lock(&mutex);
    if (!requests)
        requests = json_array();
    if (json_array_size(requests) >= REQUESTS_KEPT)
        json_array_remove(requests, 0);
    json_array_append_new(requests, json_pack("{s:s, s:b, s:o}", "path", path, "key", *authorization != 0, "body",
                                              body ? json_deep_copy(body) : json_null()));
    pthread_mutex_unlock(&mutex);
}

json_t *script_requests(void)
{
    pthread_mutex_lock(&mutex);
    json_t *copy = requests ? json_deep_copy(requests) : json_array();
    pthread_mutex_unlock(&mutex);
    return copy;
}
