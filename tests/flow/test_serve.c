/* `cvmhost serve`: what keeps it from starting, and what happens to it and its clients when the host crashes, hangs, is
 * killed or is told to stop. */
#include "flow.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct flow *home(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    return f;
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

START_TEST(serves_and_stops)
{
    struct flow *f = home();
    struct stat st;
    char path[128];
    flow_start(f);
    ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, NULL), 200);
    snprintf(path, sizeof path, "%s/data/cvmhost.sock", f->home);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    static const char *const kept[] = {"cvmhost.db", "cvmhost.db-wal", "lock"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        snprintf(path, sizeof path, "%s/data/%s", f->home, kept[i]);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_msg((st.st_mode & 07) == 0, "%s: mode %04o", path, st.st_mode & 0777u);
    }
    ck_assert_int_eq(flow_stop(f), 0);
    ck_assert(flow_logged(f, "stopped"));
    flow_start(f); /* and again in the same home */
    flow_end(f);
}
END_TEST

START_TEST(logs_each_agent_with_its_tools)
{
    struct flow *f = home();
    flow_start(f);
    ck_assert(flow_logged(f, "plugin faulty 1.0.0"));
    ck_assert(flow_logged(f, "agent test.faulty (FaultyAgent); tools: hammer, tongs"));
    ck_assert(flow_logged(f, "provider test.caller (CallerAgent)"));
    flow_end(f);
}
END_TEST

/* What happened is read by the number of the turn, by who may read. */
START_TEST(shows_a_turn)
{
    static const char *const reader[] = {"Authorization: Bearer reader-token-0123456789", NULL};
    static const char *const other[] = {"Authorization: Bearer other-token-0123456789", NULL};
    struct flow *f = home();
    struct flow_answer a;
    char path[64];
    flow_env(f, "READER_TOKEN", "reader-token-0123456789");
    flow_env(f, "OTHER_TOKEN", "other-token-0123456789");
    flow_config(f, "access",
                json_pack("{s:[{s:s, s:s, s:[s]}, {s:s, s:s, s:[s]}]}", "tokens", "name", "reader", "secret",
                          "READER_TOKEN", "permissions", "read", "name", "other", "secret", "OTHER_TOKEN",
                          "permissions", "sell"));
    flow_start(f);
    ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL), 200);
    snprintf(
        path, sizeof path, "/api/v1/turns/%lld",
        (long long)flow_sql_int(f, "SELECT seq FROM turns WHERE component = 'test.faulty' ORDER BY seq DESC LIMIT 1"));
    ck_assert_int_eq(flow_http(f, "GET", path, NULL, NULL, NULL), 401);
    ck_assert_int_eq(flow_http(f, "GET", path, NULL, other, NULL), 403);
    ck_assert_int_eq(flow_http(f, "GET", path, NULL, reader, &a), 200);
    ck_assert_str_eq(json_string_value(json_object_get(a.json, "component")), "test.faulty");
    ck_assert_str_eq(json_string_value(json_object_get(a.json, "outcome")), "OK");
    ck_assert(json_is_object(json_object_get(json_object_get(a.json, "record"), "in")));
    snprintf(path, sizeof path, "/api/v1/conversations/%s/turns",
             json_string_value(json_object_get(a.json, "conversation")));
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", path, NULL, NULL, NULL), 401);
    ck_assert_int_eq(flow_http(f, "GET", path, NULL, reader, &a), 200);
    ck_assert_int_ge((int)json_array_size(json_object_get(a.json, "turns")), 1);
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/conversations/nobody%20here/turns", NULL, reader, NULL), 404);
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/conversations/turns", NULL, reader, NULL), 404);
    static const char *const none[] = {"999999999", "0", "", "x", "1x", "99999999999999999999", "1/2"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        snprintf(path, sizeof path, "/api/v1/turns/%s", none[i]);
        ck_assert_int_eq(flow_http(f, "GET", path, NULL, reader, NULL), 404);
    }
    ck_assert_int_eq(flow_http(f, "POST", "/api/v1/turns/1", "{}", reader, NULL), 405);
    flow_end(f);
}
END_TEST

START_TEST(runs_without_a_supervisor)
{
    struct flow *f = home();
    flow_start_with(f, (const char *const[]){"--no-supervise", NULL});
    ck_assert_int_eq(f->host, f->pid);
    ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, NULL), 200);
    flow_end(f);
}
END_TEST

START_TEST(stops_on_interrupt_of_the_whole_group)
{
    struct flow *f = home();
    flow_start(f);
    kill(f->host, SIGINT); /* a terminal sends it to both */
    kill(f->pid, SIGINT);
    ck_assert_int_eq(flow_wait_end(f), 0);
    flow_free(f);
}
END_TEST

START_TEST(hangup_is_a_reload)
{
    struct flow *f = home();
    flow_start(f);
    kill(f->pid, SIGHUP);
    flow_wait_log(f, "SIGHUP: reloading all plugins");
    ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, NULL), 200);
    flow_end(f);
}
END_TEST

START_TEST(port_in_use)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    struct flow *f = home();
    char text[32];
    f->port = ntohs(address.sin_port);
    ck_assert_int_eq(flow_start_status(f, NULL), 1);
    snprintf(text, sizeof text, "port %d", f->port);
    ck_assert_ptr_nonnull(strstr(f->start_errors, text));
    ck_assert_ptr_nonnull(strstr(f->start_errors, "--port"));
    close(fd);
    flow_start(f);
    flow_end(f);
}
END_TEST

START_TEST(second_host_in_the_same_home)
{
    struct flow *f = home(), *second = flow_new();
    flow_start(f);
    char remedy[64], pid[64];
    int status = flow_start_status(second, (const char *const[]){"--home", f->home, NULL}); /* the last --home counts */
    ck_assert_int_eq(status, 1);
    snprintf(pid, sizeof pid, "process %d", (int)f->pid);
    snprintf(remedy, sizeof remedy, "kill %d", (int)f->pid);
    ck_assert_ptr_nonnull(strstr(second->start_errors, pid));
    ck_assert_ptr_nonnull(strstr(second->start_errors, remedy));
    ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, NULL), 200); /* the first is not disturbed */
    ck_assert_int_eq(flow_stop(f), 0);
    flow_free(second);
    flow_free(f);
}
END_TEST

START_TEST(faulty_configuration)
{
    struct flow *f = home();
    flow_config_text(f, "{\"http\": {\"port\": \"eighty\"}}");
    ck_assert_int_eq(flow_start_status(f, NULL), 3);
    ck_assert_ptr_nonnull(strstr(f->start_errors, "http.port"));
    flow_config_text(f, "{\"http\": ");
    ck_assert_int_eq(flow_start_status(f, NULL), 3);
    ck_assert_ptr_nonnull(strstr(f->start_errors, "cvmhost.json"));
    flow_free(f);
}
END_TEST

START_TEST(faulty_plugin)
{
    struct flow *f = home();
    flow_write(f, "plugins/faulty.so", "no library");
    ck_assert_int_eq(flow_start_status(f, NULL), 3);
    ck_assert_ptr_nonnull(strstr(f->start_errors, "faulty"));
    flow_write(f, "manifests/faulty.json", "{}");
    ck_assert_int_eq(flow_start_status(f, NULL), 3);
    ck_assert_ptr_nonnull(strstr(f->start_errors, "faulty.json"));
    flow_free(f);
}
END_TEST

START_TEST(public_address_is_refused)
{
    struct flow *f = home();
    flow_config(f, "http.host", json_string("0.0.0.0"));
    ck_assert_int_eq(flow_start_status(f, NULL), 3);
    ck_assert_ptr_nonnull(strstr(f->start_errors, "http.public"));
    flow_config(f, "http.public", json_true());
    flow_start(f);
    flow_end(f);
}
END_TEST

START_TEST(wrong_usage)
{
    struct flow *f = flow_new();
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "serve", "--nonsense"), 2);
    ck_assert_ptr_nonnull(strstr(a.errors, "--nonsense"));
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, &a, "serve", "--port", "99999"), 2);
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, &a, "serve", "--help"), 0);
    ck_assert_ptr_nonnull(strstr(a.text, "--no-supervise"));
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, &a, "serve", "--home", "/no/such/home"), 1);
    ck_assert_ptr_nonnull(strstr(a.errors, "/no/such/home"));
    flow_answer_free(&a);
    flow_free(f);
}
END_TEST

START_TEST(damaged_database)
{
    struct flow *f = home();
    flow_write(f, "data/cvmhost.db",
               "this is not a database, but long enough to be taken for the header of one: "
               "0123456789012345678901234567890123456789");
    ck_assert_int_eq(flow_start_status(f, NULL), 3);
    ck_assert_ptr_nonnull(strstr(f->start_errors, "not started again"));
    flow_free(f);
}
END_TEST

/* ---- crashes ----------------------------------------------------------------------------------------------------- */

START_TEST(killed_host_comes_back)
{
    struct flow *f = home();
    flow_start(f);
    flow_kill(f, SIGKILL);
    ck_assert_int_lt(flow_wait_serving(f), 1000);
    ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, NULL), 200);
    ck_assert(flow_logged(f, "the host died (signal 9"));
    flow_end(f);
}
END_TEST

/* No client sees a refused connection: the supervisor holds the listening socket. */
START_TEST(clients_wait_while_it_restarts)
{
    struct flow *f = home();
    flow_start(f);
    for (int i = 0; i < 3; i++) {
        flow_kill(f, SIGKILL);
        ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, NULL), 200);
        flow_wait_serving(f);
    }
    flow_end(f);
}
END_TEST

START_TEST(state_survives_a_kill)
{
    struct flow *f = home();
    flow_start(f);
    for (int i = 1; i <= 3; i++) {
        struct flow_answer a;
        ck_assert_int_eq(flow_http(f, "POST", "/test/count", "{}", NULL, &a), 200);
        ck_assert_int_eq(json_integer_value(json_object_get(a.json, "count")), i);
        flow_answer_free(&a);
        flow_kill(f, SIGKILL);
        flow_wait_serving(f);
    }
    flow_end(f);
}
END_TEST

START_TEST(crash_names_the_component)
{
    struct flow *f = home();
    flow_start(f);
    ck_assert_int_eq(flow_http(f, "POST", "/test/crash", "{}", NULL, NULL), 0);
    ck_assert_int_lt(flow_wait_serving(f), 1000);
    ck_assert(flow_logged(f, "component test.faulty was handling MSG-"));
    ck_assert(flow_logged(f, "signal 11"));
    char *crash = flow_read(f, "logs/crash.log");
    ck_assert_ptr_nonnull(crash);
    ck_assert_ptr_nonnull(strstr(crash, "component test.faulty was handling MSG-"));
    ck_assert_ptr_nonnull(strstr(crash, "faulty")); /* its frame */
    free(crash);
    ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, NULL), 200);
    flow_end(f);
}
END_TEST

static void ends_within_a_second(const char *path)
{
    struct flow *f = home();
    flow_start(f);
    ck_assert_int_eq(flow_http(f, "POST", path, "{}", NULL, NULL), 0);
    ck_assert_int_lt(flow_wait_serving(f), 1000);
    ck_assert(flow_logged(f, "component test.faulty was handling MSG-"));
    ck_assert(flow_logged(f, "hard limit"));
    ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL), 200);
    flow_end(f);
}

START_TEST(endless_loop_is_ended)
{
    ends_within_a_second("/test/hang");
}
END_TEST

START_TEST(waiting_handler_is_ended)
{
    ends_within_a_second("/test/block");
}
END_TEST

START_TEST(slow_turn_is_kept)
{
    struct flow *f = home();
    flow_start(f);
    ck_assert_int_eq(flow_http(f, "POST", "/test/slow", "{\"ms\": 100}", NULL, NULL), 200);
    ck_assert_int_eq(f->served, 1);
    flow_end(f);
}
END_TEST

START_TEST(message_of_two_crashes_becomes_a_dead_letter)
{
    struct flow *f = home();
    flow_start(f);
    ck_assert_int_eq(flow_http(f, "POST", "/test/crash-later", "{\"delay_ms\": 300}", NULL, NULL), 200);
    flow_wait_serving(f); /* the timer is recovered and crashes it again */
    flow_wait_serving(f);
    flow_wait_log(f, "dead letter");
    ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, NULL), 200);
    flow_sleep_ms(300);
    ck_assert_int_eq(f->served, 3);
    ck_assert_int_eq(flow_stop(f), 0);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from dead_letters where component = 'test.faulty'"), 1);
    flow_free(f);
}
END_TEST

START_TEST(gives_up_after_too_many_crashes)
{
    struct flow *f = home();
    flow_config(f, "supervisor.restarts", json_integer(2));
    flow_start(f);
    for (int i = 0; i < 2; i++) {
        flow_kill(f, SIGKILL);
        flow_wait_serving(f);
    }
    flow_kill(f, SIGKILL);
    flow_wait_serving(f); /* once more, in safe mode */
    ck_assert(flow_logged(f, "too many"));
    flow_kill(f, SIGKILL);
    ck_assert_int_eq(flow_wait_end(f), 4);
    flow_free(f);
}
END_TEST

START_TEST(host_dies_with_its_supervisor)
{
    struct flow *f = home();
    flow_start(f);
    pid_t host = f->host;
    kill(f->pid, SIGKILL);
    ck_assert_int_eq(flow_wait_end(f), 128 + SIGKILL);
    FLOW_UNTIL(kill(host, 0) < 0);
    flow_start(f); /* lock and socket are free again */
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *start = tcase_create("start"), *crash = tcase_create("crash");
    tcase_set_timeout(start, 60);
    tcase_add_test(start, serves_and_stops);
    tcase_add_test(start, logs_each_agent_with_its_tools);
    tcase_add_test(start, shows_a_turn);
    tcase_add_test(start, runs_without_a_supervisor);
    tcase_add_test(start, stops_on_interrupt_of_the_whole_group);
    tcase_add_test(start, hangup_is_a_reload);
    tcase_add_test(start, port_in_use);
    tcase_add_test(start, second_host_in_the_same_home);
    tcase_add_test(start, faulty_configuration);
    tcase_add_test(start, faulty_plugin);
    tcase_add_test(start, public_address_is_refused);
    tcase_add_test(start, wrong_usage);
    tcase_add_test(start, damaged_database);
    tcase_set_timeout(crash, 60);
    tcase_add_test(crash, killed_host_comes_back);
    tcase_add_test(crash, clients_wait_while_it_restarts);
    tcase_add_test(crash, state_survives_a_kill);
    tcase_add_test(crash, crash_names_the_component);
    tcase_add_test(crash, endless_loop_is_ended);
    tcase_add_test(crash, waiting_handler_is_ended);
    tcase_add_test(crash, slow_turn_is_kept);
    tcase_add_test(crash, message_of_two_crashes_becomes_a_dead_letter);
    tcase_add_test(crash, gives_up_after_too_many_crashes);
    tcase_add_test(crash, host_dies_with_its_supervisor);
    return flow_main("serve", (TCase *[]){start, crash, NULL});
}
