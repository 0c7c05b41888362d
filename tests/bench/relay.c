/* The benchmark's components: a chain of four (producer, a, b, c), with a shared or a fresh payload at each hop, and
 * one that journals. The producer measures itself; no other plugin may look at a clock of its own. */
#include <cvm/cvm.h>
#include <cvm/json.h>

#include <stdlib.h>
#include <time.h>

#define SAMPLES 65536
#ifndef RELAY_BUILD
#define RELAY_BUILD "1"
#endif
__attribute__((used)) static const char build[] = "build " RELAY_BUILD; /* the only difference of the two */

static struct {
    int64_t left, open, done, begun_ns;
    bool fresh;
    cvm_id run;
    json_t *payload;
    int64_t sent_ns[1024];
    uint32_t samples[SAMPLES];
    uint32_t n_samples;
    bool one_at_a_time;
} p;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Five fields, as an agent that builds its own message does. */
static json_t *fresh_payload(int64_t n)
{
    return json_pack("{s:I, s:s, s:f, s:s, s:b}", "order", (json_int_t)n, "currency", "EUR", "amount", 129.95, "status",
                     "open", "express", 1);
}

static int send_one(cvm_turn *t)
{
    p.left--;
    p.open++;
    if (p.one_at_a_time)
        p.sent_ns[0] = now_ns();
    return cvm_request(t, "bench.a", "hop", p.fresh ? fresh_payload(p.left) : json_incref(p.payload), NULL);
}

static int run(cvm_turn *t, const cvm_msg *m)
{
    p.left = cvm_json_int(m->data, "requests", 1);
    p.fresh = cvm_json_bool(m->data, "fresh", false);
    p.run = m->id;
    p.done = p.open = 0;
    p.n_samples = 0;
    json_decref(p.payload);
    p.payload = cvm_json_share(json_object_get(m->data, "payload"));
    int64_t in_flight = cvm_json_int(m->data, "in_flight", 1);
    p.one_at_a_time = in_flight == 1;
    p.begun_ns = now_ns();
    while (p.open < in_flight && p.left > 0)
        CVM_TRY(send_one(t));
    return CVM_PENDING;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int hop_reply(cvm_turn *t, const cvm_msg *m)
{
    (void)m;
    p.open--;
    p.done++;
    if (p.one_at_a_time && p.n_samples < SAMPLES)
        p.samples[p.n_samples++] = (uint32_t)(now_ns() - p.sent_ns[0]);
    if (p.left > 0)
        return send_one(t);
    if (p.open > 0)
        return CVM_OK;
    int64_t ns = now_ns() - p.begun_ns;
    qsort(p.samples, p.n_samples, sizeof *p.samples, by_size);
    return cvm_settle(t, p.run, CVM_REPLIED,
                      json_pack("{s:I, s:I, s:f, s:f}", "requests", (json_int_t)p.done, "ns", (json_int_t)ns, "p50_us",
                                p.n_samples ? p.samples[p.n_samples / 2] / 1e3 : 0.0, "p99_us",
                                p.n_samples ? p.samples[(uint32_t)(p.n_samples * 0.99)] / 1e3 : 0.0),
                      NULL);
}

static json_t *pass_on(const cvm_msg *m)
{
    return p.fresh ? fresh_payload(p.left) : cvm_json_share(m->data);
}

static int hop_a(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_forward(t, m->id, "bench.b", "hop", pass_on(m)));
    return CVM_OK;
}

static int hop_b(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_forward(t, m->id, "bench.c", "hop", pass_on(m)));
    return CVM_OK;
}

static int hop_c(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(t, m, pass_on(m));
}

static int keep(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_context_set(t, "/last", cvm_json_share(json_object_get(m->data, "order"))));
    return cvm_reply(t, m, cvm_json_share(m->data));
}

/* Three components that journal each step: the first two pass it on, the third answers. */
static int chain_first(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_forward(t, m->id, "bench.chain2", "chain", cvm_json_share(m->data)));
    return CVM_OK;
}

static int chain_second(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_forward(t, m->id, "bench.chain3", "chain", cvm_json_share(m->data)));
    return CVM_OK;
}

static int chain_third(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(t, m, cvm_json_share(m->data));
}

static int wait(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    return CVM_PENDING;
}

static int echo(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(t, m, cvm_json_share(m->data));
}

/* clang-format off */
static const cvm_component components[] = {
    {.id = "bench.producer", .state_version = 1}, {.id = "bench.a", .state_version = 1},
    {.id = "bench.b", .state_version = 1}, {.id = "bench.c", .state_version = 1},
    {.id = "bench.keeper", .state_version = 1}, {.id = "bench.chain1", .state_version = 1},
    {.id = "bench.chain2", .state_version = 1}, {.id = "bench.chain3", .state_version = 1}, {0}};
static const cvm_route routes[] = {
    {"bench.producer", "run", run}, {"bench.producer", "hop.reply", hop_reply},
    {"bench.a", "hop", hop_a}, {"bench.b", "hop", hop_b}, {"bench.c", "hop", hop_c},
    {"bench.keeper", "keep", keep}, {"bench.keeper", "wait", wait}, {"bench.keeper", "echo", echo},
    {"bench.keeper", "echo_durable", echo}, {"bench.chain1", "chain", chain_first},
    {"bench.chain2", "chain", chain_second}, {"bench.chain3", "chain", chain_third}, {0}};
/* clang-format on */

CVM_PLUGIN(.name = "relay", .version = "1.0.0", .components = components, .routes = routes);
