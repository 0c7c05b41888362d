/* Mail: what a message looks like on the wire, what may not become one, and what is said of it when the server does
 * what servers do: a small one in a process of its own plays a script. */
#include "services/http_client.h"
#include "services/smtp_message.h"

#include <arpa/inet.h>
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- messages -----------------------------------------------------------------------------------------------------
 */

static char *made(const cvm_mail *mail, const char *key)
{
    struct text text;
    ck_assert_msg(!cvm_mail_fault(mail), "%s", cvm_mail_fault(mail));
    text_init(&text, SMTP_MESSAGE_MAX_BYTES);
    smtp_message_make(mail, key, INT64_C(1795273987000), &text);
    text_add(&text, "", 1);
    ck_assert(!text.failed);
    return text.at;
}

static cvm_mail plain(json_t *to)
{
    return (cvm_mail){.size = sizeof(cvm_mail),
                      .from = "desk@example.com",
                      .to = to,
                      .subject = "Your ticket",
                      .text = "It is done.\n"};
}

START_TEST(a_plain_mail)
{
    json_t *to = json_string("ada@example.com");
    cvm_mail mail = plain(to);
    char *text = made(&mail, "TICK0012");
    ck_assert_str_eq(text, "Date: Sat, 21 Nov 2026 15:13:07 +0000\r\n"
                           "From: <desk@example.com>\r\n"
                           "To: <ada@example.com>\r\n"
                           "Subject: Your ticket\r\n"
                           "Message-ID: <32251d3d82ddd9900a66afdc4f1bf364@example.com>\r\n"
                           "Auto-Submitted: auto-generated\r\n"
                           "MIME-Version: 1.0\r\n"
                           "Content-Type: text/plain; charset=utf-8\r\n"
                           "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                           "It is done.\r\n");
    free(text);
    json_decref(to);
}
END_TEST

static char *id_of(const char *text)
{
    const char *at = strstr(text, "Message-ID: ");
    ck_assert_ptr_nonnull(at);
    return strndup(at, strcspn(at, "\r"));
}

START_TEST(the_key_makes_the_id)
{
    json_t *to = json_string("ada@example.com");
    cvm_mail mail = plain(to), other = plain(to);
    other.subject = "Another";
    char *a = made(&mail, "K1"), *b = made(&other, "K1"), *c = made(&mail, "K2");
    char *ida = id_of(a), *idb = id_of(b), *idc = id_of(c);
    ck_assert_str_eq(ida, idb);
    ck_assert_str_ne(ida, idc);
    char *all[] = {a, b, c, ida, idb, idc};
    for (size_t i = 0; i < 6; i++)
        free(all[i]);
    json_decref(to);
}
END_TEST

/* No line over 76, no byte over 0x7e, no line end but CRLF, and before the body no line that is no header of ours. */
static void check_lines(const char *text)
{
    static const char *const ours[] = {"Date: ",
                                       "From: ",
                                       "To: ",
                                       "Reply-To: ",
                                       "Subject: ",
                                       "Message-ID: ",
                                       "Auto-Submitted:",
                                       "MIME-Version: ",
                                       "Content-Type: ",
                                       "Content-Transfer-Encoding: ",
                                       " "};
    bool head = true;
    for (const char *line = text, *end; *line; line = end + 2) {
        end = strstr(line, "\r\n");
        ck_assert_ptr_nonnull(end);
        ck_assert_int_le(end - line, SMTP_LINE_MAX);
        bool known = end == line;
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
            known = known || strncmp(line, ours[i], strlen(ours[i])) == 0;
        ck_assert_msg(!head || known, "%.*s", (int)(end - line), line);
        head = head && end != line;
        for (; line < end; line++)
            if (((unsigned char)*line < 0x20 || (unsigned char)*line >= 0x7f) && *line != '\t')
                ck_abort_msg("byte %02x", *line);
    }
}

static uint64_t seed = 5;

static uint64_t next(uint64_t below)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (seed >> 33) % below;
}

static void random_text(char *out, size_t max, bool lines)
{
    static const char *const pieces[] = {"a",     "Zz ", "=",  "?",  "=?",   "\"", "\\", ",",     "<",   ">",
                                         ";",     ":",   " ",  ".",  "é",    "ọ̀",  "₦",  "漢",    "😀",   "\xc2\x85",
                                         "From ", "b1",  "--", "\n", "\r\n", "\r", "\t", "\n.\n", "  \n"};
    size_t n = 0, k = next(80);
    *out = 0;
    while (k--) {
        const char *piece = pieces[next(lines ? 29 : 23)];
        if (n + strlen(piece) + 1 > max)
            break;
        n += (size_t)snprintf(out + n, max - n, "%s", piece);
    }
}

START_TEST(whatever_is_in_it_the_form_holds)
{
    char subject[400], name[190], text[4000], html[4000];
    for (int i = 0; i < 400; i++) {
        json_t *to = json_pack("[s, s]", "ada@example.com", "ben.o'hara+x@sub.example.org");
        cvm_mail mail = plain(to);
        random_text(subject, sizeof subject, false);
        random_text(name, sizeof name, false);
        random_text(text, sizeof text, true);
        random_text(html, sizeof html, true);
        mail.subject = subject;
        mail.from_name = mail.to_name = name;
        mail.text = *text ? text : "x";
        mail.html = next(2) && *html ? html : NULL;
        mail.reply_to = next(2) ? "help@example.com" : NULL;
        char *message = made(&mail, "K");
        check_lines(message);
        free(message);
        json_decref(to);
    }
}
END_TEST

START_TEST(long_texts_and_lines)
{
    char *text = malloc(CVM_MAIL_TEXT_MAX_BYTES + 2);
    memset(text, 'a', CVM_MAIL_TEXT_MAX_BYTES + 1);
    text[CVM_MAIL_TEXT_MAX_BYTES] = 0;
    json_t *to = json_string("ada@example.com");
    cvm_mail mail = plain(to);
    mail.text = mail.html = text;
    char *message = made(&mail, "K");
    check_lines(message);
    free(message);
    text[CVM_MAIL_TEXT_MAX_BYTES] = 'a';
    text[CVM_MAIL_TEXT_MAX_BYTES + 1] = 0;
    mail.html = NULL;
    ck_assert_str_eq(cvm_mail_fault(&mail), "text");
    free(text);
    json_decref(to);
}
END_TEST

/* ---- what is refused ----------------------------------------------------------------------------------------------
 */

static const struct {
    const char *field, *value;
} bad[] = {{"subject", "Hello\r\nBcc: eve@example.com"},
           {"subject", "Hello\nBcc: eve@example.com"},
           {"subject", "Hello\rBcc: eve@example.com"},
           {"subject", "a\x01"},
           {"from_name", "Desk\r\nBcc: eve@example.com"},
           {"to_name", "Ada\n"},
           {"to", "ada@example.com\r\nRCPT TO:<eve@example.com>"},
           {"to", "ada@example.com,eve@example.com"},
           {"to", "<ada@example.com>"},
           {"to", "ada@example.com "},
           {"to", "ada"},
           {"to", "@example.com"},
           {"to", "ada@"},
           {"to", "a..b@example.com"},
           {"to", ".a@example.com"},
           {"to", "a.@example.com"},
           {"to", "a@example..com"},
           {"to", "a@.example.com"},
           {"to", "a@-example.com"},
           {"to", "a@b@example.com"},
           {"to", "a b@example.com"},
           {"to", "\"a\"@example.com"},
           {"to", "ad\xc3\xa9@example.com"},
           {"to", ""},
           {"from", "desk@example.com\n"},
           {"from", "nobody"},
           {"reply_to", "x@y\r\nz"},
           {"text", ""},
           {"ca_file", "certs.pem"},
           {"password", NULL}};

START_TEST(refused_naming_the_field)
{
    json_t *to = json_string(strcmp(bad[_i].field, "to") == 0 ? bad[_i].value : "ada@example.com");
    cvm_mail mail = plain(to);
    const struct {
        const char *field, **at;
    } members[] = {{"subject", &mail.subject}, {"from_name", &mail.from_name}, {"to_name", &mail.to_name},
                   {"from", &mail.from},       {"reply_to", &mail.reply_to},   {"text", &mail.text},
                   {"ca_file", &mail.ca_file}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (strcmp(bad[_i].field, members[i].field) == 0)
            *members[i].at = bad[_i].value;
    if (strcmp(bad[_i].field, "password") == 0)
        mail.user = "desk";
    ck_assert_ptr_nonnull(cvm_mail_fault(&mail));
    ck_assert_str_eq(cvm_mail_fault(&mail), bad[_i].field);
    json_decref(to);
}
END_TEST

START_TEST(so_many_recipients)
{
    json_t *to = json_array();
    cvm_mail mail = plain(to);
    ck_assert_str_eq(cvm_mail_fault(&mail), "to");
    for (int i = 0; i < CVM_MAIL_RECIPIENTS_MAX; i++)
        json_array_append_new(to, json_string("ada@example.com"));
    ck_assert_ptr_null(cvm_mail_fault(&mail));
    json_array_append_new(to, json_string("ada@example.com"));
    ck_assert_str_eq(cvm_mail_fault(&mail), "to");
    json_decref(to);
}
END_TEST

/* ---- a server by script -------------------------------------------------------------------------------------------
 */

/* '>' says the text, '<' waits for a line, '.' for a message's end, 'z' sleeps, 'x' ends. */
struct script {
    const char *name;
    const char *steps[16];
    int fate, status;
    const char *text; /* of the answer, or what went wrong */
    bool hopeless;
};

#define HELLO ">220 mx ready\r\n", "<", ">250-mx\r\n250 8BITMIME\r\n"
#define ENVELOPE HELLO, "<", ">250 ok\r\n", "<", ">250 ok\r\n", "<", ">354 go on\r\n"

static const struct script scripts[] = {
    {"taken", {ENVELOPE, ".", ">250 2.0.0 queued as 4Xy\r\n", "<"}, HTTP_ANSWERED, 250, "2.0.0 queued as 4Xy"},
    {"taken, then gone", {ENVELOPE, ".", ">250 ok\r\n", "x"}, HTTP_ANSWERED, 250, "ok"},
    {"answer in many lines", {ENVELOPE, ".", ">250-a\r\n250-b\r\n250 c\r\n", "<"}, HTTP_ANSWERED, 250, "c"},
    {"taken, farewell said", {ENVELOPE, ".", ">250 ok\r\n", "<", ">221 bye\r\n", "z"}, HTTP_ANSWERED, 250, "ok"},
    {"later, farewell said", {ENVELOPE, ".", ">451 no\r\n", "<", ">221 bye\r\n", "z"}, HTTP_ANSWERED, 451, "no"},
    {"refused, odd farewell", {HELLO, "<", ">550 no\r\n", "<", ">250 bye\r\n", "z"}, HTTP_ANSWERED, 550, "no"},
    {"taken, no farewell", {ENVELOPE, ".", ">250 ok\r\n", "z"}, HTTP_ANSWERED, 250, "ok"},
    {"refused, no farewell", {HELLO, "<", ">550 no\r\n", "z"}, HTTP_ANSWERED, 550, "no"},
    {"sender refused", {HELLO, "<", ">550 5.7.1 not you\r\n", "<"}, HTTP_ANSWERED, 550, "5.7.1 not you"},
    {"recipient refused",
     {HELLO, "<", ">250 ok\r\n", "<", ">550 5.1.1 nobody\r\n", "<"},
     HTTP_ANSWERED,
     550,
     "5.1.1 nobody"},
    {"recipient later",
     {HELLO, "<", ">250 ok\r\n", "<", ">451 4.7.1 greylisted\r\n", "<"},
     HTTP_ANSWERED,
     451,
     "4.7.1 greylisted"},
    {"no data", {HELLO, "<", ">250 ok\r\n", "<", ">250 ok\r\n", "<", ">554 no\r\n", "<"}, HTTP_ANSWERED, 554, "no"},
    {"refused at the end", {ENVELOPE, ".", ">552 5.3.4 too big\r\n", "<"}, HTTP_ANSWERED, 552, "5.3.4 too big"},
    {"later at the end", {ENVELOPE, ".", ">452 4.3.1 full\r\n", "<"}, HTTP_ANSWERED, 452, "4.3.1 full"},
    {"not now", {">421 4.3.2 closing\r\n", "x"}, HTTP_ANSWERED, 421, "4.3.2 closing"},
    {"never", {">554 no service\r\n", "x"}, HTTP_ANSWERED, 554, "no service"},
    {"gone at once", {"x"}, HTTP_NOT_SENT, 0, NULL},
    {"silent", {"z"}, HTTP_NOT_SENT, 0, NULL},
    {"slow banner", {">220-w", "z"}, HTTP_NOT_SENT, 0, NULL},
    {"garbage", {">HTTP/1.1 400 Bad\r\n\r\n<html>\xff\xfe\r\n", "x"}, HTTP_NOT_SENT, 0, NULL},
    {"gone before the data", {HELLO, "<", ">250 ok\r\n", "<", "x"}, HTTP_NOT_SENT, 0, NULL},
    {"silent before the data", {HELLO, "<", ">250 ok\r\n", "<", "z"}, HTTP_NOT_SENT, 0, NULL},
    {"gone after the end", {ENVELOPE, ".", "x"}, HTTP_BROKEN, 0, NULL},
    {"silent after the end", {ENVELOPE, ".", "z"}, HTTP_TIMED_OUT, 0, NULL},
    {"half an answer", {ENVELOPE, ".", ">250-so", "x"}, HTTP_BROKEN, 0, NULL},
    {"half an answer's code", {ENVELOPE, ".", ">2", "x"}, HTTP_BROKEN, 0, NULL},
    {"garbage after the end", {ENVELOPE, ".", ">\xff\xfe thanks\r\n", "x"}, HTTP_BROKEN, 0, NULL},
};

static char said[8192]; /* in the server's process: what the client said */

static void hear(int fd, const char *until)
{
    size_t n = strlen(said), from = n;
    while (n + 1 < sizeof said && read(fd, said + n, 1) == 1) {
        said[++n] = 0;
        if (n - from >= strlen(until) && strcmp(said + n - strlen(until), until) == 0)
            return;
    }
}

static void play(int listener, const struct script *script, const char *record)
{
    int fd = accept(listener, NULL, NULL);
    for (size_t i = 0; i < 16 && script->steps[i]; i++) {
        const char *step = script->steps[i];
        if (*step == '>' && write(fd, step + 1, strlen(step + 1)) < 0)
            break;
        if (*step == '<')
            hear(fd, "\r\n");
        if (*step == '.')
            hear(fd, "\r\n.\r\n");
        if (*step == 'z')
            usleep(1500 * 1000);
        if (*step == 'x')
            break;
    }
    FILE *out = fopen(record, "w");
    if (out) {
        fputs(said, out);
        fclose(out);
    }
    _exit(0);
}

static uv_loop_t loop;
static struct http_client *client;
static pid_t server;
static char record[64];
static struct {
    int calls, fate, status;
    bool hopeless;
    char body[512], text[256];
} seen;

static void on_done(void *arg, const struct http_result *result)
{
    (void)arg;
    seen.calls++;
    seen.fate = (int)result->fate;
    seen.status = result->status;
    seen.hopeless = result->hopeless;
    snprintf(seen.body, sizeof seen.body, "%s", result->body);
    snprintf(seen.text, sizeof seen.text, "%s", result->text);
    uv_stop(&loop);
}

static int serve(const struct script *script, uint32_t at)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(at)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, 4), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    snprintf(record, sizeof record, "/tmp/test_smtp_%d", (int)getpid());
    server = fork();
    if (server == 0)
        play(listener, script, record);
    close(listener);
    return ntohs(address.sin_port);
}

static void send_with(const char *url, const char *text, const char *tls, const char *const *login)
{
    json_t *headers = json_pack("{s:s, s:s, s:s*, s:s*}", "Message-ID", "K1", "tls", tls, "user",
                                login ? login[0] : NULL, "password", login ? login[1] : NULL);
    json_t *mail = json_pack("{s:s, s:[s], s:s, s:s, s:i}", "from", "desk@example.com", "to", "ada@example.com",
                             "subject", "Hello", "text", text, "date_ms", 0);
    char *body = json_dumps(mail, 0);
    struct http_request request = {
        .method = "MAIL", .url = url, .headers = headers, .body = body, .body_len = strlen(body), .timeout_ms = 700};
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(http_client_new(&loop, &client), 0);
    memset(&seen, 0, sizeof seen);
    ck_assert_int_eq(http_client_send(client, &request, on_done, NULL, NULL), 0);
    uint64_t begun = uv_hrtime(), step;
    while (!seen.calls) {
        step = uv_hrtime();
        uv_run(&loop, UV_RUN_NOWAIT);
        ck_assert_msg(uv_hrtime() - step < 250 * UINT64_C(1000000), "the loop waited for the server");
        usleep(1000);
    }
    ck_assert_uint_lt(uv_hrtime() - begun, 1200 * UINT64_C(1000000));
    http_client_close(client, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(seen.calls, 1);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    free(body);
    json_decref(mail);
    json_decref(headers);
}

static void send_mail(const char *url, const char *text)
{
    send_with(url, text, "required", NULL);
}

static void end_server(bool by_itself)
{
    if (!by_itself)
        kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}

START_TEST(what_servers_do)
{
    const struct script *script = &scripts[_i];
    char url[64];
    snprintf(url, sizeof url, "smtp://127.0.0.1:%d", serve(script, INADDR_LOOPBACK));
    send_mail(url, "Hello\n");
    end_server(false);
    ck_assert_msg(seen.fate == script->fate && seen.status == script->status, "%s: fate %d status %d, %s%s",
                  script->name, seen.fate, seen.status, seen.body, seen.text);
    ck_assert_msg(!script->text || strcmp(seen.body, script->text) == 0, "%s: %s", script->name, seen.body);
    ck_assert_msg(seen.fate == HTTP_ANSWERED || *seen.text, "%s", script->name);
    ck_assert(!seen.hopeless);
    unlink(record);
}
END_TEST

static char *heard(void)
{
    static char text[8192];
    FILE *in = fopen(record, "r");
    ck_assert_ptr_nonnull(in);
    text[fread(text, 1, sizeof text - 1, in)] = 0;
    fclose(in);
    unlink(record);
    return text;
}

START_TEST(what_goes_over_the_wire)
{
    char url[64];
    snprintf(url, sizeof url, "smtp://127.0.0.1:%d", serve(&scripts[0], INADDR_LOOPBACK));
    send_mail(url, ".\n..\nFrom here\n");
    end_server(true);
    const char *text = heard();
    ck_assert_int_eq(strncmp(text, "EHLO ", 5), 0);
    ck_assert_ptr_nonnull(strstr(text, "\r\nMAIL FROM:<desk@example.com>"));
    ck_assert_ptr_nonnull(strstr(text, "\r\nRCPT TO:<ada@example.com>\r\nDATA\r\n"));
    ck_assert_ptr_nonnull(strstr(text, "\r\n\r\n..\r\n...\r\nFrom here\r\n.\r\n")); /* dots are doubled */
}
END_TEST

/* To another machine (127.0.0.2 is none of the names of this one): no mail and no password as clear text. */
START_TEST(nothing_in_clear_text)
{
    static const char *const login[] = {"desk", "secret"};
    static const struct script bare = {.steps = {HELLO, "<", "x"}};
    char url[64];
    for (int i = 0; i < 2; i++) {
        snprintf(url, sizeof url, "smtp://127.0.0.2:%d", serve(&bare, INADDR_LOOPBACK + 1));
        send_with(url, "x", i ? "if_offered" : "required", i ? login : NULL);
        end_server(true);
        ck_assert_int_eq(seen.fate, HTTP_NOT_SENT);
        ck_assert(seen.hopeless);
        ck_assert_ptr_nonnull(strstr(seen.text, "STARTTLS"));
        char *text = heard();
        ck_assert_msg(!strstr(text, "AUTH") && !strstr(text, "MAIL"), "%s", text);
    }
    snprintf(url, sizeof url, "smtp://127.0.0.2:%d", serve(&scripts[0], INADDR_LOOPBACK + 1));
    send_with(url, "x", "if_offered", NULL);
    end_server(false);
    ck_assert_int_eq(seen.status, 250);
    unlink(record);
}
END_TEST

static const char *const addresses[] = {"http://127.0.0.1:1", "smtp://desk:secret@127.0.0.1:1", "nonsense"};

START_TEST(bad_addresses)
{
    send_mail(addresses[_i], "x");
    ck_assert_int_eq(seen.fate, HTTP_NOT_SENT);
    ck_assert(seen.hopeless);
    ck_assert_ptr_nonnull(strstr(seen.text, "mail server"));
}
END_TEST

START_TEST(nobody_there)
{
    char url[64];
    snprintf(url, sizeof url, "smtp://127.0.0.1:%d", 1);
    send_mail(url, "x");
    ck_assert_int_eq(seen.fate, HTTP_NOT_SENT);
    ck_assert(!seen.hopeless);
}
END_TEST

int main(void)
{
    TCase *message = tcase_create("message"), *server_case = tcase_create("server");
    tcase_add_test(message, a_plain_mail);
    tcase_add_test(message, the_key_makes_the_id);
    tcase_add_test(message, whatever_is_in_it_the_form_holds);
    tcase_add_test(message, long_texts_and_lines);
    tcase_add_loop_test(message, refused_naming_the_field, 0, sizeof bad / sizeof *bad);
    tcase_add_test(message, so_many_recipients);
    tcase_set_timeout(server_case, 20);
    tcase_add_loop_test(server_case, what_servers_do, 0, sizeof scripts / sizeof *scripts);
    tcase_add_test(server_case, what_goes_over_the_wire);
    tcase_add_test(server_case, nothing_in_clear_text);
    tcase_add_loop_test(server_case, bad_addresses, 0, 3);
    tcase_add_test(server_case, nobody_there);
    Suite *suite = suite_create("smtp");
    suite_add_tcase(suite, message);
    suite_add_tcase(suite, server_case);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
