/* Many enquiries at once, each on a connection of its own: all are answered, none has anything of another's.
 * CVM_CROWD says how many (1,000); with CVM_CROWD_P99_MS the 99th percentile must stay below it. */
#include "flow_desk.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct person {
    CURL *curl;
    struct curl_slist *headers;
    char *body, *text;
    FILE *out;
    size_t len;
    char phone[16], amount[16];
    double seconds;
    long status;
};

static size_t append(char *data, size_t size, size_t n, void *arg)
{
    return fwrite(data, size, n, arg) * size;
}

static void make(struct person *p, const struct flow *f, int i)
{
    char url[256], from[32];
    snprintf(p->phone, sizeof p->phone, "0803%07d", 2155002 + i * 7);
    snprintf(p->amount, sizeof p->amount, "%d", 1000 + i);
    snprintf(url, sizeof url, "%s/api/v1/enquiries", f->url);
    ck_assert_int_gt(
        asprintf(&p->body,
                 "{\"customer_phone\": \"%s\", \"channel\": \"WEB\", \"message\": \"Buy %s naira MTN airtime for "
                 "%s\"}",
                 p->phone, p->amount, p->phone),
        0);
    p->curl = curl_easy_init();
    p->out = open_memstream(&p->text, &p->len);
    p->headers = curl_slist_append(curl_slist_append(NULL, "Content-Type: application/json"), "Expect:");
    /* From many addresses, as customers do: of one address only so many connections are taken. */
    snprintf(from, sizeof from, "127.0.1.%d", 1 + i / 20);
    curl_easy_setopt(p->curl, CURLOPT_INTERFACE, from);
    curl_easy_setopt(p->curl, CURLOPT_URL, url);
    curl_easy_setopt(p->curl, CURLOPT_POSTFIELDS, p->body);
    curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, p->headers);
    curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(p->curl, CURLOPT_WRITEDATA, p->out);
    curl_easy_setopt(p->curl, CURLOPT_PRIVATE, p);
    curl_easy_setopt(p->curl, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(p->curl, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(p->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(p->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(p->curl, CURLOPT_TIMEOUT, 120L);
}

static void run(struct person *people, int n)
{
    CURLM *multi = curl_multi_init();
    int running = n, left;
    for (int i = 0; i < n; i++)
        curl_multi_add_handle(multi, people[i].curl);
    while (running) {
        curl_multi_perform(multi, &running);
        curl_multi_poll(multi, NULL, 0, 100, NULL);
        for (CURLMsg *m; (m = curl_multi_info_read(multi, &left));) {
            struct person *p = NULL;
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&p);
            ck_assert_msg(m->data.result == CURLE_OK, "a connection failed: %s", curl_easy_strerror(m->data.result));
            curl_easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE, &p->status);
            curl_easy_getinfo(m->easy_handle, CURLINFO_TOTAL_TIME, &p->seconds);
        }
    }
    for (int i = 0; i < n; i++) {
        curl_multi_remove_handle(multi, people[i].curl);
        fclose(people[i].out);
    }
    curl_multi_cleanup(multi);
}

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Its own number and sum, and nobody else's: sums and numbers are all different. */
static void check(const struct person *p)
{
    json_t *a = json_loads(p->text, 0, NULL);
    char sum[40];
    const char *said = text_of(a, "response_text"), *digits = said;
    ck_assert_msg(p->status == 200, "%ld %s", p->status, p->text);
    snprintf(sum, sizeof sum, "%s.00", p->amount);
    char plain[1024];
    size_t n = 0;
    for (; *digits && n + 1 < sizeof plain; digits++)
        if (*digits != ',')
            plain[n++] = *digits;
    plain[n] = 0;
    bool broke = !strcmp(text_of(a, "reason"), "INSUFFICIENT_FUNDS");
    ck_assert_msg(!strcmp(text_of(a, "reason"), "sold") || broke, "%s: %s", p->phone, p->text);
    ck_assert_msg(strstr(plain, sum), "%s is not told of %s: %s", p->phone, sum, said);
    if (!broke)
        ck_assert_msg(strstr(said, p->phone), "%s is told of another: %s", p->phone, said);
    for (const char *at = strstr(said, "0803"); at; at = strstr(at + 4, "0803"))
        ck_assert_msg((at > said && at[-1] != ' ') || !strncmp(at, p->phone, 11), "%s is told of another: %s", p->phone,
                      said);
    json_decref(a);
}

START_TEST(all_are_answered_and_none_mixed)
{
    const char *wanted = getenv("CVM_CROWD"), *limit = getenv("CVM_CROWD_P99_MS");
    int n = wanted ? (int)strtol(wanted, NULL, 10) : 1000;
    struct flow *f = desk_home();
    json_t *samples = json_array();
    struct person *people = calloc((size_t)n, sizeof *people);
    double *times = calloc((size_t)n, sizeof *times);
    for (int i = 0; i < n && i < 100; i++) { /* the desk opens wallets for so many */
        char phone[16];
        snprintf(phone, sizeof phone, "0803%07d", 2155002 + i * 7);
        json_array_append_new(samples,
                              json_pack("{s:s, s:s, s:i}", "phone", phone, "name", "Ada", "wallet_naira", 5000));
    }
    json_object_set_new(json_object_get(f->config, "agents"), "service.desk",
                        json_pack("{s:{s:o}}", "settings", "sample_customers", samples));
    /* All at once is slower than one after the other; nothing is in doubt for that. */
    json_object_update_new(
        json_object_get(json_object_get(json_object_get(f->config, "agents"), "service.transaction"), "settings"),
        json_pack("{s:i}", "answer_within_ms", 60000));
    json_object_update_new(
        json_object_get(json_object_get(json_object_get(f->config, "agents"), "service.airtime_sales"), "settings"),
        json_pack("{s:i}", "credit_timeout_s", 100));
    json_object_update_new(
        json_object_get(json_object_get(json_object_get(f->config, "agents"), "provider.network.mtn"), "settings"),
        json_pack("{s:i}", "timeout_ms", 60000));
    flow_start(f);
    for (int i = 0; i < n; i++)
        make(&people[i], f, i);
    run(people, n);
    for (int i = 0; i < n; i++) {
        check(&people[i]);
        times[i] = people[i].seconds;
    }
    qsort(times, (size_t)n, sizeof *times, by_time);
    double p99 = times[(size_t)((double)n * 0.99) - (n >= 100)] * 1000;
    for (int i = 0; i < n; i++)
        if (people[i].seconds > 5)
            printf("%s took %.1f s: %.200s\n", people[i].phone, people[i].seconds, people[i].text);
    printf("%d enquiries at once: median %.0f ms, 99th percentile %.0f ms, longest %.0f ms\n", n, times[n / 2] * 1000,
           p99, times[n - 1] * 1000);
    ck_assert_msg(!limit || p99 <= strtod(limit, NULL), "the 99th percentile is %.0f ms", p99);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from enquiries where resolution_status in ('IN_PROGRESS')"), 0);
    for (int i = 0; i < n; i++) {
        curl_easy_cleanup(people[i].curl);
        curl_slist_free_all(people[i].headers);
        free(people[i].body);
        free(people[i].text);
    }
    free(people);
    free(times);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("crowd");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, all_are_answered_and_none_mixed);
    return flow_main("crowd", (TCase *[]){tests, NULL});
}
