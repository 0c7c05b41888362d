/* A program in place of a library that speaks the link and breaks its rules: at once, as the last part of the version
 * that it is greeted with says (1.0.0-mute), or in a turn, as the message's "mode" says. */
#include <jansson.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELLO 1
#define TURN 2
#define ANSWER 3
#define READY 16
#define ASK 18
#define TELL 19
#define DONE 20

static char in[4 * 1024 * 1024];
static size_t have;

static void send_all(const char *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t part = n - at < 65536 ? n - at : 65536;
        ssize_t sent = send(3, bytes + at, part, MSG_NOSIGNAL);
        if (sent < 0)
            _exit(0);
        at += (size_t)sent;
    }
}

static void put(uint32_t size, uint16_t kind, uint64_t turn, const char *body, size_t n)
{
    char *frame = malloc(16 + n);
    memset(frame, 0, 16);
    memcpy(frame, &size, 4);
    memcpy(frame + 4, &kind, 2);
    memcpy(frame + 8, &turn, 8);
    memcpy(frame + 16, body, n);
    send_all(frame, 16 + n);
    free(frame);
}

static void say(uint16_t kind, uint64_t turn, const char *body)
{
    put((uint32_t)strlen(body), kind, turn, body, strlen(body));
}

static void take(uint16_t *kind, uint64_t *turn, json_t **body)
{
    for (;;) {
        uint32_t size = 0;
        if (have >= 4)
            memcpy(&size, in, 4);
        if (have >= 16 && have >= 16 + (size_t)size) {
            memcpy(kind, in + 4, 2);
            memcpy(turn, in + 8, 8);
            *body = json_loadb(in + 16, size, 0, NULL);
            have -= 16 + (size_t)size;
            memmove(in, in + 16 + size, have);
            return;
        }
        ssize_t n = recv(3, in + have, 65536, 0);
        if (n <= 0)
            _exit(0);
        have += (size_t)n;
    }
}

static const char ready[] =
    "{\"link\":1,\"name\":\"rogue\",\"version\":\"1.0.0\",\"components\":[{\"id\":\"test.rogue\",\"state_version\":1,"
    "\"upgrade\":false,\"downgrade\":false}],\"routes\":[{\"component\":\"test.rogue\",\"type\":\"do\"}]}";

static void begin_wrong(const char *how)
{
    if (strcmp(how, "mute") == 0)
        pause();
    else if (strcmp(how, "garbage") == 0)
        send_all("GET / HTTP/1.1\r\nHost: nowhere\r\n\r\n", 33);
    else if (strcmp(how, "huge") == 0)
        put(1 << 30, READY, 0, "", 0);
    else if (strcmp(how, "packet") == 0 && send(3, in, 100000, MSG_NOSIGNAL) < 0) /* larger than packets are */
        _exit(4);
    else if (strcmp(how, "early") == 0)
        say(DONE, 1, "{\"result\":0}");
    else if (strcmp(how, "list") == 0)
        say(READY, 0, "[]");
    else if (strcmp(how, "link") == 0)
        say(READY, 0, "{\"link\":99,\"name\":\"rogue\",\"version\":\"1.0.0\"}");
    else if (strcmp(how, "name") == 0)
        say(READY, 0, "{\"link\":1,\"name\":\"other\",\"version\":\"1.0.0\",\"components\":[],\"routes\":[]}");
    else if (strcmp(how, "routes") == 0)
        say(READY, 0,
            "{\"link\":1,\"name\":\"rogue\",\"version\":\"1.0.0\",\"components\":[{\"id\":\"test.rogue\",\"state_"
            "version\":1}],"
            "\"routes\":[]}");
    else if (strcmp(how, "failed") == 0)
        say(17, 0, "{\"step\":\"load\",\"text\":\"not today\"}");
    else if (strcmp(how, "gone") == 0)
        _exit(3);
    pause();
}

static void reply(uint64_t turn, const json_t *message)
{
    char body[256];
    snprintf(body, sizeof body, "{\"op\":\"settle\",\"request\":\"%s\",\"outcome\":0,\"data\":{\"ok\":true}}",
             json_string_value(json_object_get(message, "id")));
    say(TELL, turn, body);
    say(DONE, turn, "{\"result\":0,\"us\":1}");
}

static void fill(char *at, size_t n, char with)
{
    memset(at, with, n);
    at[n] = 0;
}

/* True: the turn goes on and ends well. */
static int misbehave(const char *mode, uint64_t turn, const json_t *message)
{
    static char big[3 * 1024 * 1024 + 64];
    uint16_t kind;
    uint64_t of;
    json_t *answer;
    if (strcmp(mode, "twice") == 0) {
        reply(turn, message);
        say(DONE, turn, "{\"result\":0}");
        return 0;
    }
    if (strcmp(mode, "old_turn") == 0) {
        say(TELL, turn - 1, "{\"op\":\"note\",\"what\":\"x\"}");
        say(ASK, turn - 1, "{\"op\":\"context\"}");
        take(&kind, &of, &answer);
        json_decref(answer);
    } else if (strcmp(mode, "future_turn") == 0) {
        say(DONE, turn + 1, "{\"result\":0}");
    } else if (strcmp(mode, "far_turn") == 0) {
        say(DONE, UINT64_MAX, "{\"result\":0}");
    } else if (strcmp(mode, "no_json") == 0) {
        say(TELL, turn, "{\"op\":");
    } else if (strcmp(mode, "no_object") == 0) {
        say(TELL, turn, "[1]");
    } else if (strcmp(mode, "no_result") == 0) {
        say(DONE, turn, "{}");
        return 0;
    } else if (strcmp(mode, "odd_result") == 0) {
        say(DONE, turn, "{\"result\":9223372036854775807,\"us\":-5}");
        return 0;
    } else if (strcmp(mode, "kind") == 0) {
        say(999, turn, "{}");
    } else if (strcmp(mode, "ready_again") == 0) {
        say(READY, turn, ready);
    } else if (strcmp(mode, "reserved") == 0) {
        send_all("\0\0\0\0\24\0\1\0\1\0\0\0\0\0\0\0", 16);
    } else if (strcmp(mode, "oversize") == 0) {
        put(9 * 1024 * 1024, TELL, turn, "{", 1);
    } else if (strcmp(mode, "big_frame") == 0) {
        fill(big, 3 * 1024 * 1024, ' ');
        say(TELL, turn, big);
    } else if (strcmp(mode, "tells") == 0) {
        for (int i = 0; i < 30000; i++)
            say(TELL, turn, "{\"op\":\"state_put\",\"key\":\"k\",\"value\":1}");
    } else if (strcmp(mode, "asks") == 0) {
        for (int i = 0; i < 20000; i++) {
            say(ASK, turn, "{\"op\":\"state_get\",\"key\":\"k\"}");
            take(&kind, &of, &answer);
            json_decref(answer);
        }
    } else if (strcmp(mode, "bytes") == 0) {
        fill(big, 1000000, 'x');
        for (int i = 0; i < 20; i++) {
            put(1000000, TELL, turn, big, 1000000);
        }
    } else if (strcmp(mode, "logs") == 0) {
        for (int i = 0; i < 5000; i++)
            say(TELL, turn, "{\"op\":\"log\",\"level\":1,\"text\":\"again and again\"}");
        for (int i = 0; i < 2000; i++)
            fprintf(stderr, "and here, too\n");
    } else if (strcmp(mode, "unasked") == 0) {
        for (int i = 0; i < 2000; i++) /* and reads none of the answers before the end */
            say(ASK, turn, "{\"op\":\"context\"}");
    } else if (strcmp(mode, "strange") == 0) {
        static const char *const ops[] = {
            "{}",
            "{\"op\":7}",
            "{\"op\":\"nothing\"}",
            "{\"op\":\"emit\"}",
            "{\"op\":\"emit\",\"kind\":-1}",
            "{\"op\":\"emit\",\"kind\":4294967296,\"to\":\"test.rogue\",\"type\":\"do\"}",
            "{\"op\":\"emit\",\"kind\":1,\"to\":7,\"type\":[],\"data\":3}",
            "{\"op\":\"emit\",\"priority\":99}",
            "{\"op\":\"settle\",\"request\":\"no id\",\"outcome\":0}",
            "{\"op\":\"settle\",\"outcome\":77}",
            "{\"op\":\"refuse\",\"outcome\":-1}",
            "{\"op\":\"refuse\",\"outcome\":1,\"data\":7}",
            "{\"op\":\"timer\"}",
            "{\"op\":\"timer\",\"type\":\"do\",\"delay_ms\":-9}",
            "{\"op\":\"timer_cancel\",\"timer\":{}}",
            "{\"op\":\"call\"}",
            "{\"op\":\"call\",\"name\":\"x\",\"query\":7}",
            "{\"op\":\"query\",\"table\":7}",
            "{\"op\":\"context_set\"}",
            "{\"op\":\"context_set\",\"path\":\"x\",\"value\":1}",
            "{\"op\":\"state_get\"}",
            "{\"op\":\"state_get\",\"key\":\"\"}",
            "{\"op\":\"state_put\"}",
            "{\"op\":\"state_scan\"}",
            "{\"op\":\"state_scan\",\"prefix\":\"\",\"limit\":-1}",
            "{\"op\":\"state_scan\",\"prefix\":\"\",\"limit\":5,\"dropped\":-7}",
            "{\"op\":\"state_scan\",\"prefix\":\"\",\"limit\":5,\"dropped\":9223372036854775807}",
            "{\"op\":\"row_put\"}",
            "{\"op\":\"row_put\",\"table\":\"t\"}",
            "{\"op\":\"row_del\"}",
            "{\"op\":\"row_del\",\"table\":\"t\"}",
            "{\"op\":\"note\"}",
            "{\"op\":\"new_id\"}",
            "{\"op\":\"new_id\",\"prefix\":\"\"}",
            "{\"op\":\"new_id\",\"prefix\":\"ABCDEFGHIJKLMNOP\"}",
            "{\"op\":\"settings\"}",
            "{\"op\":\"registry\"}",
            "{\"op\":\"registry\",\"name\":\"x\"}",
            "{\"op\":\"secret\"}",
            "{\"op\":\"secret\",\"name\":\"X\"}",
            "{\"op\":\"log\"}",
            "{\"op\":\"end\"}",
        };
        for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
            say(ASK, turn, ops[i]);
            take(&kind, &of, &answer);
            if (kind != ANSWER || !json_is_integer(json_object_get(answer, "error")))
                _exit(9);
            json_decref(answer);
        }
    } else if (strcmp(mode, "closes") == 0) {
        close(3);
        pause();
    } else if (strcmp(mode, "leaves") == 0) {
        _exit(0);
    } else if (strcmp(mode, "half") == 0) {
        put(1000, TELL, turn, "{", 1);
        _exit(1);
    } else if (strcmp(mode, "silent") == 0) {
        pause();
    } else if (strcmp(mode, "killed") == 0) {
        kill(getpid(), SIGKILL); /* as by somebody else */
    } else if (strcmp(mode, "stops") == 0) {
        kill(getpid(), SIGSTOP);
        pause();
    }
    return 1;
}

int main(void)
{
    uint16_t kind;
    uint64_t turn;
    json_t *body;
    take(&kind, &turn, &body);
    const char *how = strchr(json_string_value(json_object_get(body, "version")), '-');
    if (how)
        begin_wrong(how + 1);
    json_decref(body);
    say(READY, 0, ready);
    for (;;) {
        take(&kind, &turn, &body);
        const json_t *message = json_object_get(body, "message");
        const char *mode = json_string_value(json_object_get(json_object_get(message, "data"), "mode"));
        if (kind == TURN && (!mode || misbehave(mode, turn, message)))
            reply(turn, message);
        json_decref(body);
        if (kind == 5)
            return 0;
    }
}
