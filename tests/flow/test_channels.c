/* Messages to the outside on the real host: mail to a real mail server (python3-aiosmtpd), which answers as servers do,
 * and notices to a Slack that is played. What arrives is read by Python's own email package. */
#include "flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PYTHON "/usr/bin/python3"
#define FROM "desk@example.com"

/* ---- what is played ------------------------------------------------------------------------------------------------
 */

/* The exit status of a program; its output goes nowhere. */
static int status_of(const char *const *argv)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        freopen("/dev/null", "w", stderr);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool have_server(void)
{
    bool have = status_of((const char *const[]){PYTHON, "-c", "import aiosmtpd", NULL}) == 0;
    if (!have)
        fprintf(stderr, "skipped: python3-aiosmtpd is not installed (apt-get install python3-aiosmtpd)\n");
    return have;
}

static void spawn(struct flow *f, const char *name, const char *script, int port, const char *answers,
                  const char *const *more)
{
    char number[8], file[128], path[512], output[32];
    snprintf(number, sizeof number, "%d", port);
    snprintf(file, sizeof file, "%s/%s.jsonl", f->home, name);
    snprintf(path, sizeof path, "%s", flow_source(script));
    snprintf(output, sizeof output, "%s.txt", name);
    flow_remove(f, output);
    const char *argv[10] = {PYTHON, path, number, file, answers};
    for (int i = 0; more && i < 4; i++)
        argv[5 + i] = more[i];
    flow_spawn(f, name, argv);
    for (int64_t until = flow_now_ms() + FLOW_WAIT_MS;; flow_sleep_ms(20)) {
        char *said = flow_read(f, output);
        bool ready = said && strstr(said, "ready");
        free(said);
        if (ready)
            return;
        ck_assert_msg(flow_now_ms() < until, "%s does not start", script);
    }
}

/* What has come so far: an array (json_decref). */
static json_t *came(struct flow *f, const char *name)
{
    char file[64];
    snprintf(file, sizeof file, "%s.jsonl", name);
    char *text = flow_read(f, file), *rest = NULL;
    json_t *all = json_array();
    for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest))
        json_array_append_new(all, json_loads(line, 0, NULL));
    free(text);
    return all;
}

static size_t how_many(struct flow *f, const char *name)
{
    json_t *all = came(f, name);
    size_t n = json_array_size(all);
    json_decref(all);
    return n;
}

static const char *str(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "";
}

/* ---- the home ------------------------------------------------------------------------------------------------------
 */

static struct flow *home(int port, json_t *email)
{
    char url[64];
    struct flow *f = flow_new();
    flow_plugin(f, "email");
    flow_plugin(f, "slack");
    snprintf(url, sizeof url, "smtp://localhost:%d", port);
    json_t *settings = json_pack("{s:s, s:s, s:s, s:i, s:i}", "smtp_url", url, "from", FROM, "from_name", "Support ọ̀fẹ́",
                                 "timeout_ms", 2000, "deadline_s", 20);
    if (email)
        json_object_update(settings, email);
    json_decref(email);
    flow_config(f, "agents", json_pack("{s:{s:o}}", "channel.email", "settings", settings));
    return f;
}

static struct flow *started(const char *answers)
{
    int port = flow_free_port();
    struct flow *f = home(port, NULL);
    spawn(f, "mails", "tests/flow/mail_server.py", port, answers, NULL);
    flow_start(f);
    return f;
}

/* `cvmhost agent call CHANNEL deliver`: the exit status. */
static int deliver(struct flow *f, const char *channel, json_t *message, struct flow_answer *ret)
{
    char *data = json_dumps(message, 0);
    int status =
        FLOW_RUN(f, ret, "agent", "call", channel, "deliver", "--data", data, "--timeout", "60", "--output", "json");
    free(data);
    json_decref(message);
    return status;
}

static json_t *letter(const char *reference)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "channel", "email", "to", "ada@example.com", "subject", "Your ticket",
                     "text", "It is done.", "reference", reference);
}

static void expect(struct flow *f, const char *channel, json_t *message, int status, const char *says)
{
    struct flow_answer a;
    int got = deliver(f, channel, message, &a);
    ck_assert_msg(got == status && (strstr(a.text, says) || strstr(a.errors, says)), "%d: %s%s", got, a.text, a.errors);
    flow_answer_free(&a);
}

/* ---- mail -----------------------------------------------------------------------------------------------------------
 */

START_TEST(mail_is_read_as_it_was_written)
{
    if (!have_server())
        return;
    static const char *const subjects[] = {
        "Your ticket", "Ẹ káàbọ̀ — your ticket №12 is résolu ✅ and here is a rather long line of it that must be folded",
        "=?UTF-8?B?eA==?= is no word of ours", " spaces at both ends ", "\"quoted\", <b>&amp; co; a@b"};
    static const char *const texts[] = {
        "It is done.\n", ".\n..\n.hidden\nFrom the desk\n\ttab and trailing   \n=3D =\n",
        "Ẹ jọ̀wọ́, ₦500 ni owó rẹ. 客户您好，您的问题已经解决。Здравствуйте, всё решено. 😀\n", "no line end",
        "a\r\nb\rc\nd\n"};
    struct flow *f = started("250");
    for (size_t i = 0; i < 5; i++) {
        char reference[16];
        snprintf(reference, sizeof reference, "T-%zu", i);
        json_t *message = letter(reference);
        json_object_set_new(message, "subject", json_string(subjects[i]));
        json_object_set_new(message, "text", json_string(texts[i]));
        json_object_set_new(message, "to_name", json_string(i % 2 ? "Adé \"Ace\" Obi, Jr." : "Ada Obi"));
        if (i == 2) {
            json_object_set_new(message, "html", json_string("<p>Ẹ jọ̀wọ́ <b>₦500</b></p>\n"));
            json_object_set_new(message, "to", json_pack("[s, s]", "ada@example.com", "ben@example.org"));
        }
        expect(f, "channel.email", message, 0, "queued as 4Xy");
    }
    json_t *mails = came(f, "mails"), *mail;
    size_t i;
    ck_assert_uint_eq(json_array_size(mails), 5);
    json_array_foreach(mails, i, mail)
    {
        ck_assert_str_eq(str(mail, "subject"), subjects[i]);
        ck_assert_str_eq(str(mail, "text"), i == 3 ? "no line end\n" : i == 4 ? "a\nb\nc\nd\n" : texts[i]);
        ck_assert_str_eq(str(mail, "html"), i == 2 ? "<p>Ẹ jọ̀wọ́ <b>₦500</b></p>\n" : "");
        ck_assert_uint_eq(json_array_size(json_object_get(mail, "rcpt_to")), i == 2 ? 2 : 1);
        ck_assert_str_eq(str(mail, "mail_from"), FROM);
        const json_t *from = json_array_get(json_object_get(mail, "from"), 0),
                     *to = json_array_get(json_object_get(mail, "to"), 0);
        ck_assert_str_eq(json_string_value(json_array_get(from, 0)), "Support ọ̀fẹ́");
        ck_assert_str_eq(json_string_value(json_array_get(from, 1)), FROM);
        ck_assert_str_eq(json_string_value(json_array_get(to, 0)), i % 2 ? "Adé \"Ace\" Obi, Jr." : "Ada Obi");
        ck_assert_str_eq(json_string_value(json_array_get(to, 1)), "ada@example.com");
        ck_assert_uint_eq(json_array_size(json_object_get(mail, "defects")), 0);
        ck_assert_int_le(json_integer_value(json_object_get(mail, "longest")), 76);
    }
    json_decref(mails);
    flow_end(f);
}
END_TEST

START_TEST(one_reference_is_one_mail)
{
    if (!have_server())
        return;
    struct flow *f = started("250");
    for (int i = 0; i < 3; i++)
        expect(f, "channel.email", letter("T-1"), 0, "\"sent\"");
    ck_assert_uint_eq(how_many(f, "mails"), 1);
    ck_assert_int_eq(flow_stop(f), 0);
    flow_start(f);
    expect(f, "channel.email", letter("T-1"), 0, "\"sent\"");
    expect(f, "channel.email", letter("T-2"), 0, "\"sent\"");
    ck_assert_uint_eq(how_many(f, "mails"), 2);
    flow_end(f);
}
END_TEST

static const struct {
    const char *field, *value;
} injections[] = {
    {"subject", "Hello\r\nBcc: eve@example.com"},           {"subject", "Hello\nBcc: eve@example.com"},
    {"to", "ada@example.com\r\nRCPT TO:<eve@example.com>"}, {"to", "ada@example.com, eve@example.com"},
    {"to_name", "Ada>\r\nBcc: <eve@example.com"},           {"reply_to", "a@example.com\nBcc: eve@example.com"}};

START_TEST(injected_headers_are_refused)
{
    int port = flow_free_port();
    struct flow *f = home(port, NULL);
    flow_start(f);
    for (size_t i = 0; i < sizeof injections / sizeof *injections; i++) {
        char field[40];
        json_t *message = letter("T-1");
        json_object_set_new(message, injections[i].field, json_string(injections[i].value));
        snprintf(field, sizeof field, "\"field\": \"%s\"", injections[i].field);
        struct flow_answer a;
        ck_assert_int_eq(deliver(f, "channel.email", message, &a), 5);
        ck_assert_msg(strstr(a.text, injections[i].field) || strstr(a.errors, injections[i].field), "%s: %s%s",
                      injections[i].field, a.text, a.errors);
        flow_answer_free(&a);
    }
    flow_end(f);
}
END_TEST

START_TEST(without_a_server_nothing_is_sent)
{
    struct flow *f = flow_new();
    flow_plugin(f, "email");
    flow_plugin(f, "slack");
    flow_start(f);
    expect(f, "channel.email", letter("T-1"), 5, "smtp_url");
    expect(f, "channel.slack", letter("T-1"), 5, "SLACK_WEBHOOK_URL");
    flow_end(f);
}
END_TEST

/* What it answers, how it ends for us, and what it has then. */
static const struct {
    const char *answers;
    int status;
    const char *says;
    size_t came;
} endings[] = {{"451,451,250", 0, "sent", 3}, {"550", 5, "MAIL_REFUSED", 1}, {"552", 5, "552 as the test wants it", 1},
               {"drop,250", 0, "sent", 2},    {"hang,250", 0, "sent", 2},    {"drop", 1, "not known whether", 2}};

START_TEST(servers_of_every_kind)
{
    if (!have_server())
        return;
    struct flow *f = started(endings[_i].answers);
    expect(f, "channel.email", letter("T-1"), endings[_i].status, endings[_i].says);
    json_t *mails = came(f, "mails"), *mail;
    size_t i;
    ck_assert_uint_eq(json_array_size(mails), endings[_i].came);
    json_array_foreach(mails, i, mail) /* a repeat is known by its id */
        ck_assert_str_eq(str(mail, "message_id"), str(json_array_get(mails, 0), "message_id"));
    json_decref(mails);
    flow_end(f);
}
END_TEST

START_TEST(server_that_comes_later)
{
    if (!have_server())
        return;
    int port = flow_free_port();
    struct flow *f = home(port, NULL);
    flow_start(f);
    json_t *message = letter("T-1");
    char *data = json_dumps(message, 0);
    json_decref(message);
    flow_spawn(f, "waits",
               (const char *const[]){"host/cvmhost", "agent", "call", "channel.email", "deliver", "--data", data,
                                     "--home", f->home, NULL});
    flow_sleep_ms(1500);
    spawn(f, "mails", "tests/flow/mail_server.py", port, "250", NULL);
    FLOW_UNTIL(how_many(f, "mails") == 1);
    free(data);
    flow_end(f);
}
END_TEST

/* STARTTLS and a login; a server whose certificate nobody vouches for, and a wrong password. */
START_TEST(encrypted_with_a_login)
{
    if (!have_server())
        return;
    int port = flow_free_port();
    char certificate[128], key[128];
    struct flow *f = flow_new();
    snprintf(certificate, sizeof certificate, "%s/cert.pem", f->home);
    snprintf(key, sizeof key, "%s/key.pem", f->home);
    if (status_of((const char *const[]){"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
                                        key, "-out", certificate, NULL}) != 0) {
        fprintf(stderr, "skipped: openssl makes no certificate here\n");
        flow_free(f);
        return;
    }
    for (int i = 0; i < 3; i++) { /* as it should be; nobody vouches; a wrong password */
        struct flow *g = home(port, i == 1 ? NULL : json_pack("{s:s}", "ca_file", certificate));
        flow_env(g, "SMTP_USER", "desk");
        flow_env(g, "SMTP_PASSWORD", i == 2 ? "wrong" : "pa55 wörd");
        if (i == 0)
            spawn(f, "mails", "tests/flow/mail_server.py", port, "250",
                  (const char *const[]){certificate, key, "desk", "pa55 wörd"});
        flow_start(g);
        expect(g, "channel.email", letter("T-1"),
               i == 0   ? 0
               : i == 1 ? 1
                        : 5,
               i == 0   ? "sent"
               : i == 1 ? "NOT_SENT"
                        : "535");
        ck_assert_int_eq(flow_sql_int(g, "select count(*) from turns where record like '%pa55%'"), 0);
        flow_end(g);
    }
    json_t *mails = came(f, "mails");
    ck_assert_uint_eq(json_array_size(mails), 1);
    ck_assert(json_is_true(json_object_get(json_array_get(mails, 0), "tls")));
    ck_assert(json_is_true(json_object_get(json_array_get(mails, 0), "login")));
    json_decref(mails);
    flow_free(f);
}
END_TEST

static const struct {
    const char *point;
    size_t least, most;
} kills[] = {{"effect_held", 1, 1}, {"first_byte_sent", 1, 2}, {"answer_received", 2, 2}};

/* Killed between the commit and the sending, while it is sent, and before the answer is known. */
START_TEST(killed_hosts_send_it_recognisably)
{
    if (!have_server())
        return;
    int port = flow_free_port();
    struct flow *f = home(port, NULL);
    spawn(f, "mails", "tests/flow/mail_server.py", port, "250", NULL);
    flow_write(f, "crash", kills[_i].point);
    char path[128];
    snprintf(path, sizeof path, "@%s/crash", f->home);
    flow_env(f, "CVMHOST_CRASH", path);
    flow_start(f);
    flow_remove(f, "crash"); /* for the next process */
    struct flow_answer a;
    deliver(f, "channel.email", letter("T-1"), &a);
    flow_answer_free(&a);
    flow_wait_serving(f);
    FLOW_UNTIL(how_many(f, "mails") >= kills[_i].least &&
               flow_sql_int(f, "select count(*) from open_items where kind = 'effect'") == 0);
    flow_sleep_ms(500);
    json_t *mails = came(f, "mails"), *mail;
    size_t i;
    ck_assert_uint_ge(json_array_size(mails), kills[_i].least);
    ck_assert_uint_le(json_array_size(mails), kills[_i].most);
    json_array_foreach(mails, i, mail)
        ck_assert_str_eq(str(mail, "message_id"), str(json_array_get(mails, 0), "message_id"));
    json_decref(mails);
    expect(f, "channel.email", letter("T-1"), 0, "sent"); /* it is known to be through */
    ck_assert_uint_le(how_many(f, "mails"), kills[_i].most);
    flow_end(f);
}
END_TEST

/* ---- Slack ----------------------------------------------------------------------------------------------------------
 */

static struct flow *slack_home(const char *answers, bool secret)
{
    char url[64];
    int port = flow_free_port();
    struct flow *f = flow_new();
    flow_plugin(f, "slack");
    snprintf(url, sizeof url, "http://127.0.0.1:%d/services/T0/B0/sesame", port);
    if (secret)
        flow_env(f, "SLACK_WEBHOOK_URL", url);
    else
        flow_config(f, "agents", json_pack("{s:{s:{s:s}}}", "channel.slack", "settings", "webhook_url", url));
    spawn(f, "posts", "tests/flow/slack_stub.py", port, answers, NULL);
    flow_start(f);
    return f;
}

static json_t *notice(const char *reference)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "channel", "slack", "subject", "Ticket TICK0012: <ready> & waiting",
                     "text", "Set the port to <8080> & restart", "link", "http://127.0.0.1:8000/ui/support#TICK0012",
                     "reference", reference);
}

START_TEST(slack_gets_its_own_form)
{
    struct flow *f = slack_home("200", true);
    expect(f, "channel.slack", notice("T-1"), 0, "sent");
    expect(f, "channel.slack", notice("T-1"), 0, "sent");
    json_t *posts = came(f, "posts");
    ck_assert_uint_eq(json_array_size(posts), 1);
    const json_t *post = json_array_get(posts, 0), *body = json_object_get(post, "body"),
                 *blocks = json_object_get(body, "blocks");
    ck_assert_str_eq(str(post, "path"), "/services/T0/B0/sesame");
    ck_assert_str_eq(str(body, "text"),
                     "Ticket TICK0012: &lt;ready&gt; &amp; waiting\nSet the port to &lt;8080&gt; &amp; restart");
    ck_assert_uint_eq(json_array_size(blocks), 4);
    ck_assert_str_eq(str(json_object_get(json_array_get(blocks, 1), "text"), "text"),
                     "Set the port to &lt;8080&gt; &amp; restart");
    const json_t *button = json_array_get(json_object_get(json_array_get(blocks, 2), "elements"), 0);
    ck_assert_str_eq(str(button, "url"), "http://127.0.0.1:8000/ui/support#TICK0012");
    json_decref(posts);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from turns where record like '%sesame%'"), 0);
    flow_end(f);
}
END_TEST

static const struct {
    const char *answers;
    int status;
    const char *says;
    size_t came;
} slacks[] = {{"429:2,200", 0, "sent", 2}, {"500,200", 0, "sent", 2},  {"500", 1, "not known whether", 2},
              {"404", 5, "no_service", 1}, {"page,200", 0, "sent", 2}, {"429:900", 1, "NOT_SENT", 1}};

START_TEST(slacks_of_every_kind)
{
    struct flow *f = slack_home(slacks[_i].answers, false);
    expect(f, "channel.slack", notice("T-1"), slacks[_i].status, slacks[_i].says);
    json_t *posts = came(f, "posts");
    ck_assert_uint_eq(json_array_size(posts), slacks[_i].came);
    if (_i == 0)
        ck_assert(json_number_value(json_object_get(json_array_get(posts, 1), "at")) -
                      json_number_value(json_object_get(json_array_get(posts, 0), "at")) >=
                  1.9);
    json_decref(posts);
    flow_end(f);
}
END_TEST

/* ---- alerts
 * ---------------------------------------------------------------------------------------------------------- */

static void ticket(struct flow *f, const char *id, const char *description)
{
    char body[200];
    snprintf(body, sizeof body, "{\"ticket_id\":\"%s\",\"customer_id\":\"CUST001\",\"description\":\"%s\"}", id,
             description);
    flow_http(f, "POST", "/support/ticket", body, NULL, NULL); /* a host that is killed answers nothing */
}

/* The support desk with its team's mail and Slack. */
static struct flow *desk(double sla_hours, double wait_hours)
{
    static const char *const plugins[] = {"support", "stores", "crew", "support_alerts"};
    char url[64];
    int mails = flow_free_port(), posts;
    struct flow *f = home(mails, NULL);
    spawn(f, "mails", "tests/flow/mail_server.py", mails, "250", NULL);
    posts = flow_free_port();
    spawn(f, "posts", "tests/flow/slack_stub.py", posts, "200", NULL);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/services/T0/B0/sesame", posts);
    flow_env(f, "SLACK_WEBHOOK_URL", url);
    for (size_t i = 0; i < 4; i++)
        flow_plugin(f, plugins[i]);
    flow_config(f, "support",
                json_pack("{s:[s, s], s:b, s:f, s:f}", "alert_to", "lead@example.com", "team@example.com",
                          "alert_slack", 1, "sla_hours", sla_hours, "approval_timeout_hours", wait_hours));
    return f;
}

static size_t told(struct flow *f, const char *name, const char *subject)
{
    json_t *all = came(f, name), *one;
    size_t n = 0, i;
    json_array_foreach(all, i, one) n +=
        strstr(str(one, "subject"), subject) || strstr(str(json_object_get(one, "body"), "text"), subject);
    json_decref(all);
    return n;
}

START_TEST(the_team_is_told)
{
    static const char *const subjects[] = {"Ticket A: a solution waits for you", "Ticket A: nobody approved in time",
                                           "Ticket A is over its time", "Ticket F has failed"};
    if (!have_server())
        return;
    struct flow *f = desk(0.0008, 0.001);
    flow_start(f);
    ticket(f, "A", "The sidecar cannot reach our application, wide=1"); /* a step that is cut within a character */
    ticket(f, "F", "fail_triage=9");
    for (size_t i = 0; i < 4; i++) {
        FLOW_UNTIL(told(f, "mails", subjects[i]) == 2 && told(f, "posts", subjects[i]) == 1); /* one for each address */
    }
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from support_alerts where status <> 'sent'") == 0);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(told(f, "mails", subjects[i]), 2);
        ck_assert_uint_eq(told(f, "posts", subjects[i]), 1);
    }
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from support_alerts where channel = 'email'"),
                     (int64_t)how_many(f, "mails"));
    json_t *posts = came(f, "posts"), *post;
    size_t i, links = 0;
    json_array_foreach(posts, i, post)
    {
        char *text = json_dumps(post, 0);
        links += strstr(text, "/ui/support#A") != NULL;
        free(text);
    }
    ck_assert_uint_eq(links, 3);
    json_decref(posts);
    EXPECT(f, 0, "solution_ready", "support", "alerts", "--ticket-id", "A");
    EXPECT(f, 0, "reopened", "support", "ticket", "reopen", "A");
    FLOW_UNTIL(told(f, "mails", subjects[1]) == 4); /* another wait that nobody ended */
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/support/alerts?status=failed", NULL, NULL, NULL), 200);
    flow_end(f);
}
END_TEST

/* Killed where the first alert was to leave: each is in the book once, and there once. */
START_TEST(the_team_is_told_once)
{
    if (!have_server())
        return;
    struct flow *f = desk(0, 24);
    char path[128];
    snprintf(path, sizeof path, "@%s/crash", f->home);
    flow_write(f, "crash", "effect_held");
    flow_env(f, "CVMHOST_CRASH", path);
    flow_start(f);
    flow_remove(f, "crash");
    ticket(f, "A", "x");
    flow_wait_serving(f);
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from support_alerts where status = 'sent'") == 3);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from support_alerts"), 3);
    ck_assert_uint_eq(how_many(f, "mails"), 2);
    ck_assert_uint_eq(how_many(f, "posts"), 1);
    flow_end(f);
}
END_TEST

/* ---- what customers are told
 * ----------------------------------------------------------------------------------------- */

/* The outbox alone, until the operator says which of its channels is a plugin's. */
START_TEST(notifications_go_by_mail)
{
    if (!have_server())
        return;
    for (int on = 0; on < 2; on++) {
        int port = flow_free_port();
        struct flow *f = home(port, NULL);
        spawn(f, "mails", "tests/flow/mail_server.py", port, "250", NULL);
        flow_plugin(f, "operations");
        if (on)
            flow_config(f, "service", json_pack("{s:{s:s}}", "channels", "EMAIL", "email"));
        flow_start(f);
        json_decref(flow_call(f, "service.notification", "send_email",
                              "{\"to\": \"ada@example.com\", \"subject\": \"Hello\", \"text\": \"It is done.\"}",
                              NULL));
        FLOW_UNTIL(flow_sql_int(f, on ? "select count(*) from outbox where status = 'sent' and reference like '%4Xy'"
                                      : "select count(*) from outbox where status = 'written'") == 1);
        ck_assert_uint_eq(how_many(f, "mails"), (size_t)on);
        flow_end(f);
    }
}
END_TEST

/* The desk's own agents write to the customer: a question, then the solution; the audit says that both went out. */
START_TEST(questions_go_by_mail)
{
    static const char *const plugins[] = {"stores", "support", "support_agents", "knowledge", "llm"};
    if (!have_server())
        return;
    int port = flow_free_port();
    struct flow *f = home(port, NULL);
    spawn(f, "mails", "tests/flow/mail_server.py", port, "250", NULL);
    for (size_t i = 0; i < sizeof plugins / sizeof *plugins; i++)
        flow_plugin(f, plugins[i]);
    flow_config(f, "support.notify_channel", json_string("email"));
    flow_start(f);
    EXPECT(f, 0, "completed", "support", "load-samples");
    ticket(f, "Q", "Redis says NOAUTH authentication required");
    FLOW_UNTIL(flow_sql_int(f, "select count(*) from support_tickets where status = 'WAITING_FOR_APPROVAL'") == 1);
    EXPECT(f, 0, "WAITING_FOR_CUSTOMER", "support", "ticket", "ask", "Q", "Which version is it?");
    FLOW_UNTIL(told(f, "mails", "Your support ticket Q: a question") == 1);
    json_t *mails = came(f, "mails");
    char *text = json_dumps(mails, 0);
    ck_assert(strstr(text, "Which version is it?") && strstr(text, "Dear Amara Cole"));
    free(text);
    json_decref(mails);
    EXPECT(f, 0, "WAITING_FOR_APPROVAL", "support", "ticket", "answer", "Q", "7.2");
    EXPECT(f, 0, "approval_sent", "support", "ticket", "approve", "Q", "--solution", "Give it the password");
    FLOW_UNTIL(told(f, "mails", "Your support ticket Q: our recommendation") == 1);
    FLOW_UNTIL(flow_sql_int(f,
                            "select count(*) from support_audit where output like '%\"delivered\":true%' and what in "
                            "('ask_customer', 'create_customer_notification')") == 2);
    ck_assert_uint_eq(how_many(f, "mails"), 2);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *mail = tcase_create("mail"), *slack = tcase_create("slack"), *tls = tcase_create("tls"),
          *kill = tcase_create("kill");
    tcase_set_timeout(mail, 90);
    tcase_add_test(mail, mail_is_read_as_it_was_written);
    tcase_add_test(mail, one_reference_is_one_mail);
    tcase_add_test(mail, injected_headers_are_refused);
    tcase_add_test(mail, without_a_server_nothing_is_sent);
    tcase_add_loop_test(mail, servers_of_every_kind, 0, sizeof endings / sizeof *endings);
    tcase_add_test(mail, server_that_comes_later);
    tcase_add_test(tls, encrypted_with_a_login);
    tcase_add_loop_test(kill, killed_hosts_send_it_recognisably, 0, sizeof kills / sizeof *kills);
    tcase_set_timeout(slack, 90);
    tcase_set_timeout(tls, 90);
    tcase_set_timeout(kill, 90);
    tcase_add_test(slack, slack_gets_its_own_form);
    tcase_add_loop_test(slack, slacks_of_every_kind, 0, sizeof slacks / sizeof *slacks);
    TCase *alerts = tcase_create("alerts");
    tcase_set_timeout(alerts, 90);
    tcase_add_test(alerts, the_team_is_told);
    tcase_add_test(alerts, the_team_is_told_once);
    tcase_add_test(alerts, notifications_go_by_mail);
    tcase_add_test(alerts, questions_go_by_mail);
    return flow_main("channels", (TCase *[]){mail, tls, kill, slack, alerts, NULL});
}
