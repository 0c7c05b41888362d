/* What the flow tests of language models share: a server of models, its script and what it was asked. */
#ifndef TESTS_FLOW_FLOW_LLM_H
#define TESTS_FLOW_FLOW_LLM_H

#include "flow_desk.h"

#include <stdio.h>
#include <string.h>

#define LLM_KEY "sk-of-the-test"

static char llm_url[64];

/* Starts the server for a home whose plugins are there. */
static inline void llm_server(struct flow *f)
{
    char port[8];
    int number = flow_free_port();
    snprintf(port, sizeof port, "%d", number);
    snprintf(llm_url, sizeof llm_url, "http://127.0.0.1:%d", number);
    flow_spawn(f, "llm_sim", (const char *const[]){"examples/simulators/llm_sim/llm_sim", "--port", port, NULL});
    flow_env(f, "OPENAI_API_KEY", LLM_KEY);
    flow_env(f, "HOSTED_LLM_API_KEY", LLM_KEY);
}

/* Points a provider at it, with further settings as JSON. */
static inline void llm_endpoint(struct flow *f, const char *name, const char *settings)
{
    char id[64], url[96];
    json_t *all = json_loads(settings, 0, NULL), *agents = json_object_get(f->config, "agents");
    snprintf(id, sizeof id, "provider.llm.%s", name);
    snprintf(url, sizeof url, "%s/v1", llm_url);
    json_object_set_new(all, "base_url", json_string(url));
    if (!agents) {
        json_object_set_new(f->config, "agents", json_object());
        agents = json_object_get(f->config, "agents");
    }
    json_object_set_new(agents, id, json_pack("{s:o}", "settings", all));
}

/* A home with the plugin alone, its OpenAI served by ours. Not started. */
static inline struct flow *llm_home(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "llm");
    llm_server(f);
    llm_endpoint(f, "openai", "{}");
    return f;
}

static inline json_t *llm_settings(struct flow *f, const char *name)
{
    char id[64];
    snprintf(id, sizeof id, "provider.llm.%s", name);
    return json_object_get(json_object_get(json_object_get(f->config, "agents"), id), "settings");
}

static inline json_t *llm_http(struct flow *f, const char *method, const char *path, const char *body)
{
    struct flow_answer a;
    char own[64];
    memcpy(own, f->url, sizeof own);
    memcpy(f->url, llm_url, sizeof own);
    int status = flow_http(f, method, path, body, NULL, &a);
    memcpy(f->url, own, sizeof own);
    ck_assert_msg(status == 200, "%s %s: %d %s", method, path, status, a.text);
    json_t *json = json_incref(a.json);
    flow_answer_free(&a);
    return json;
}

/* What the next requests get; see llm_sim --help. */
static inline void llm_script(struct flow *f, const char *script)
{
    json_decref(llm_http(f, "POST", "/script", script));
}

/* What came, oldest first (json_decref). */
static inline json_t *llm_requests(struct flow *f)
{
    return llm_http(f, "GET", "/requests", NULL);
}

static inline bool llm_answers(struct flow *f, const char *data, const char *provider)
{
    json_t *answer = flow_call(f, "provider.llm", "chat", data, NULL);
    bool is = !strcmp(text_of(answer, "provider"), provider);
    json_decref(answer);
    return is;
}

#endif
