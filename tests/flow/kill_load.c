/* Owns the client threads; see kill_load.h. An ask belongs to one thread until its status is set. */
#include "kill_load.h"

#include "flow.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define CLIENTS_MAX 32
#define TRY_MS 10000L
#define HASTY_MS 15L /* who hangs up so soon asks again while the first is still under way */
#define AGAIN_MS 25

struct load {
    char url[64];
    uint64_t seed;
    int n_clients, most;
    bool purchases;
    pthread_t clients[CLIENTS_MAX];
    atomic_bool finishing;
    atomic_int n;
    struct ask asks[LOAD_ASKS_MAX];
};

uint64_t load_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void pause_ms(int64_t ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* ---- what is asked ----------------------------------------------------------------------------------------------- */

const char *load_path(enum ask_kind kind)
{
    static const char *const paths[] = {"/api/v1/transactions/airtime", "/api/v1/transactions/power", "/test/count",
                                        "/test/call", "/api/v1/enquiries"};
    return paths[kind];
}

bool load_buys(enum ask_kind kind)
{
    return kind == ASK_BUY || kind == ASK_POWER;
}

void load_customer(int customer, char ret_id[16], char ret_phone[16])
{
    snprintf(ret_id, 16, "CUST-%d", customer);
    snprintf(ret_phone, 16, "0803100100%d", customer);
}

/* Three of four go through; the others meet each kind of trouble that a network makes. */
static void make_buy(struct ask *a, uint64_t *random)
{
    static const char *const networks[] = {"MTN", "AIRTEL", "GLO", "9MOBILE"};
    static const char *const trouble[] = {"0001", "0002", "0003", "0004", "0005", "0006", "0008",
                                          "0008", "0010", "0010", "0014", "0015", "0016"};
    char digits[8], customer[16], phone[16];
    uint64_t draw = load_random(random);
    if (draw % 4)
        snprintf(digits, sizeof digits, "%d", 1000 + (int)(draw / 4 % 9000));
    else
        snprintf(digits, sizeof digits, "%s", trouble[draw / 4 % (sizeof trouble / sizeof *trouble)]);
    draw = load_random(random);
    int naira = draw % 16 ? 50 + (int)(draw % 950) : 10000 + (int)(draw % 5000); /* some with a discount */
    load_customer(a->customer, customer, phone);
    snprintf(a->body, sizeof a->body,
             "{\"network\":\"%s\",\"phone\":\"0803%03d%s\",\"amount\":\"%d.%02d\",\"customer_id\":\"%s\"}",
             networks[draw / 16 % 4], (int)(draw / 64 % 1000), digits, naira, (int)(draw / 65536 % 100), customer);
}

/* The same of meters; each kind of trouble that a company makes when it vends but 0013, which nobody can find out. */
static void make_power(struct ask *a, uint64_t *random)
{
    static const char *const discos[] = {"EKEDC", "IKEDC", "AEDC"};
    static const char *const trouble[] = {"0001", "0002", "0003", "0004", "0005", "0006", "0008",
                                          "0010", "0011", "0012", "0014", "0015", "0016", "0019"};
    char digits[8], customer[16], phone[16];
    uint64_t draw = load_random(random);
    if (draw % 4)
        snprintf(digits, sizeof digits, "%d", 1000 + (int)(draw / 4 % 9000));
    else
        snprintf(digits, sizeof digits, "%s", trouble[draw / 4 % (sizeof trouble / sizeof *trouble)]);
    draw = load_random(random);
    load_customer(a->customer, customer, phone);
    snprintf(a->body, sizeof a->body,
             "{\"disco\":\"%s\",\"meter_number\":\"4%03d010%s\",\"amount\":\"%d.%02d\",\"customer_id\":\"%s\"}",
             discos[draw % 3], (int)(draw / 4 % 1000), digits, 500 + (int)(draw / 4096 % 9000),
             (int)(draw / 67108864 % 100), customer);
}

static void make_enquiry(struct ask *a, uint64_t *random)
{
    static const char *const messages[] = {"How do I check my airtime balance?",
                                           "My recharge of yesterday did not arrive, this is the second time!",
                                           "Buy N200 MTN airtime for 08031231234", "I want to speak with a human"};
    char customer[16], phone[16];
    load_customer(a->customer, customer, phone);
    snprintf(a->body, sizeof a->body, "{\"message\":\"%s\",\"customer_phone\":\"%s\",\"channel\":\"WEB\"}",
             messages[load_random(random) % 4], phone);
}

static void make(struct load *load, int i, struct ask *a)
{
    uint64_t random = load->seed + (uint64_t)i * 7919, draw = load_random(&random) % 20;
    a->kind = draw < 14 || load->purchases ? ASK_BUY : draw < 16 ? ASK_COUNT : draw < 18 ? ASK_LATER : ASK_ENQUIRY;
    a->customer = (int)(load_random(&random) % LOAD_CUSTOMERS);
    snprintf(a->key, sizeof a->key, "ask-%d", i);
    if (load->purchases && i % 3 == 2)
        a->kind = ASK_POWER;
    if (a->kind == ASK_BUY)
        make_buy(a, &random);
    else if (a->kind == ASK_POWER)
        make_power(a, &random);
    else if (a->kind == ASK_ENQUIRY)
        make_enquiry(a, &random);
    else if (a->kind == ASK_LATER && load_random(&random) % 2)
        snprintf(a->body, sizeof a->body, "{\"type\":\"later\",\"data\":{\"delay_ms\":%d},\"n\":%d}",
                 (int)(load_random(&random) % 400), i);
    else if (a->kind == ASK_LATER) /* ended by its deadline */
        snprintf(a->body, sizeof a->body, "{\"type\":\"never\",\"timeout_ms\":%d,\"n\":%d}",
                 200 + (int)(load_random(&random) % 400), i);
    else
        snprintf(a->body, sizeof a->body, "{\"n\":%d}", i);
}

/* ---- one try ----------------------------------------------------------------------------------------------------- */

static size_t append(char *data, size_t size, size_t n, void *arg)
{
    return fwrite(data, size, n, arg) * size;
}

static size_t header(char *data, size_t size, size_t n, void *arg)
{
    static const char name[] = "Idempotent-Replayed: true";
    if (size * n >= sizeof name - 1 && strncasecmp(data, name, sizeof name - 1) == 0)
        *(bool *)arg = true;
    return size * n;
}

static int post(CURL *curl, const char *url, const struct ask *a, long patience_ms, char **ret_text, bool *ret_replayed)
{
    char to[256], key[64];
    size_t len = 0;
    FILE *text = open_memstream(ret_text, &len);
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
    snprintf(to, sizeof to, "%s%s", url, load_path(a->kind));
    snprintf(key, sizeof key, "Idempotency-Key: %s", a->key);
    list = curl_slist_append(list, key);
    *ret_replayed = false;
    curl_easy_setopt(curl, CURLOPT_URL, to);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, a->body);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, text);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, ret_replayed);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, patience_ms);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    CURLcode code = curl_easy_perform(curl);
    long status = 0;
    if (code == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    fclose(text);
    curl_slist_free_all(list);
    return (int)status;
}

int load_ask_again(const char *url, const struct ask *ask, char **ret_text, bool *ret_replayed)
{
    static CURL *curl; /* one connection for all */
    if (!curl)
        curl = curl_easy_init();
    return post(curl, url, ask, TRY_MS, ret_text, ret_replayed);
}

/* ---- clients ----------------------------------------------------------------------------------------------------- */

/* Busy and too late mean "ask again", unless that is what was stored for the key. */
static bool is_final(int status, bool replayed)
{
    return status != 0 && (replayed || (status != 503 && status != 504));
}

static void ask(struct load *load, CURL *curl, struct ask *a, bool hasty)
{
    int64_t until = flow_now_ms() + LOAD_PATIENCE_MS;
    while (flow_now_ms() < until) {
        char *text = NULL;
        bool replayed;
        a->tries++;
        int status = post(curl, load->url, a, hasty && a->tries <= 2 ? HASTY_MS : TRY_MS, &text, &replayed);
        if (is_final(status, replayed)) {
            a->text = text;
            a->replayed = replayed;
            atomic_store(&a->status, status);
            return;
        }
        free(text);
        pause_ms(AGAIN_MS);
    }
    atomic_store(&a->status, -1);
}

static void *client(void *arg)
{
    struct load *load = arg;
    CURL *curl = curl_easy_init();
    while (!atomic_load(&load->finishing)) {
        int i = atomic_fetch_add(&load->n, 1);
        if (i >= load->most)
            break;
        make(load, i, &load->asks[i]);
        ask(load, curl, &load->asks[i], i % 8 == 0);
        uint64_t random = load->seed ^ (uint64_t)i;
        pause_ms((int64_t)(load_random(&random) % 16));
    }
    curl_easy_cleanup(curl);
    return NULL;
}

static struct load *start(const char *url, int clients, uint64_t seed, bool purchases, int most)
{
    struct load *load = calloc(1, sizeof *load);
    if (!load)
        abort();
    curl_global_init(CURL_GLOBAL_ALL);
    snprintf(load->url, sizeof load->url, "%s", url);
    load->seed = seed;
    load->purchases = purchases;
    load->most = most < LOAD_ASKS_MAX ? most : LOAD_ASKS_MAX;
    for (int i = 0; i < clients && i < CLIENTS_MAX; i++)
        if (pthread_create(&load->clients[load->n_clients], NULL, client, load) == 0)
            load->n_clients++;
    return load;
}

struct load *load_start(const char *url, int clients, uint64_t seed)
{
    return start(url, clients, seed, false, LOAD_ASKS_MAX);
}

struct load *load_start_purchases(const char *url, int clients, uint64_t seed, int most)
{
    return start(url, clients, seed, true, most);
}

void load_finish(struct load *load)
{
    atomic_store(&load->finishing, true);
    for (int i = 0; i < load->n_clients; i++)
        pthread_join(load->clients[i], NULL);
    load->n_clients = 0;
}

void load_free(struct load *load)
{
    for (int i = 0; i < load_count(load); i++)
        free(load->asks[i].text);
    free(load);
}

int load_count(const struct load *load)
{
    int n = atomic_load(&load->n);
    return n < load->most ? n : load->most;
}

struct ask *load_at(struct load *load, int i)
{
    return &load->asks[i];
}
