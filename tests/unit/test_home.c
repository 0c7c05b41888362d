/* The home: folders, lock, sockets. Each test has a folder of its own. */
#include "services/home.h"

#include <check.h>
#include <cvm/cvm.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];
static char error[512];

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/cvm-home-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    *error = 0;
}

static void teardown(void)
{
    static const char *const names[] = {HOME_SOCKET, HOME_LOCK, "data", "logs", "output", ""};
    char path[256];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
}

START_TEST(makes_its_folders)
{
    ck_assert_int_eq(home_prepare(folder, error, sizeof error), CVM_OK);
    ck_assert_int_eq(home_prepare(folder, error, sizeof error), CVM_OK);
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/output", folder);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert(S_ISDIR(st.st_mode));
}
END_TEST

START_TEST(refuses_a_home_that_is_not_there)
{
    ck_assert_int_eq(home_prepare("/tmp/no/such/home", error, sizeof error), CVM_ENOENT);
    ck_assert_ptr_nonnull(strstr(error, "/tmp/no/such/home"));
    ck_assert_ptr_nonnull(strstr(error, "--home"));
}
END_TEST

START_TEST(names_a_file_that_is_in_the_way)
{
    char path[128];
    snprintf(path, sizeof path, "%s/data", folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    ck_assert_int_eq(home_prepare(folder, error, sizeof error), CVM_EIO);
    ck_assert_ptr_nonnull(strstr(error, path));
}
END_TEST

START_TEST(locks_once)
{
    int first = -1, second = -1;
    ck_assert_int_eq(home_prepare(folder, error, sizeof error), CVM_OK);
    ck_assert_int_eq(home_owner(folder), 0);
    ck_assert_int_eq(home_lock(folder, &first, error, sizeof error), CVM_OK);
    ck_assert_int_eq(home_owner(folder), getpid());
    ck_assert_int_eq(home_lock(folder, &second, error, sizeof error), CVM_EBUSY);
    ck_assert_int_eq(second, -1);
    char pid[32];
    snprintf(pid, sizeof pid, "process %d", (int)getpid());
    ck_assert_ptr_nonnull(strstr(error, pid));
    ck_assert_ptr_nonnull(strstr(error, "--home"));
    close(first);
    ck_assert_int_eq(home_owner(folder), 0);
    ck_assert_int_eq(home_lock(folder, &second, error, sizeof error), CVM_OK);
    close(second);
}
END_TEST

START_TEST(lock_stays_with_a_child_that_inherited_it)
{
    int lock, gate[2];
    ck_assert_int_eq(home_prepare(folder, error, sizeof error), CVM_OK);
    ck_assert_int_eq(home_lock(folder, &lock, error, sizeof error), CVM_OK);
    ck_assert_int_eq(pipe(gate), 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(gate[1]);
        _exit(read(gate[0], &byte, 1) != 0);
    }
    close(lock);
    ck_assert_int_ne(home_owner(folder), 0);
    close(gate[1]);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_int_eq(home_owner(folder), 0);
}
END_TEST

START_TEST(control_socket_is_private_and_replaces_a_stale_one)
{
    struct sockaddr_un address;
    struct stat st;
    int fd = -1, again = -1;
    ck_assert_int_eq(home_prepare(folder, error, sizeof error), CVM_OK);
    ck_assert_int_eq(home_listen_control(folder, &fd, error, sizeof error), CVM_OK);
    ck_assert_int_eq(home_socket(folder, &address, error, sizeof error), CVM_OK);
    ck_assert_int_eq(stat(address.sun_path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    close(fd); /* as a killed host leaves it: the file stays */
    ck_assert_int_eq(home_listen_control(folder, &again, error, sizeof error), CVM_OK);
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    close(client);
    close(again);
}
END_TEST

START_TEST(says_what_to_do_about_a_long_path)
{
    struct sockaddr_un address;
    char deep[200];
    memset(deep, 'x', sizeof deep - 1);
    deep[0] = '/';
    deep[sizeof deep - 1] = 0;
    ck_assert_int_eq(home_socket(deep, &address, error, sizeof error), CVM_ELIMIT);
    ck_assert_ptr_nonnull(strstr(error, "107 bytes"));
    ck_assert_ptr_nonnull(strstr(error, "symbolic link"));
    ck_assert_int_eq(home_socket(".", &address, error, sizeof error), CVM_OK);
    ck_assert_str_eq(address.sun_path, HOME_SOCKET);
}
END_TEST

START_TEST(http_takes_a_free_port_and_tells_of_a_taken_one)
{
    int fd = -1, other = -1, port = 0, ignored = 0;
    ck_assert_int_eq(home_listen_http("127.0.0.1", 0, 0, &fd, &port, error, sizeof error), CVM_OK);
    ck_assert_int_gt(port, 0);
    ck_assert_int_eq(home_listen_http("127.0.0.1", port, 0, &other, &ignored, error, sizeof error), CVM_EBUSY);
    char text[32];
    snprintf(text, sizeof text, "port %d", port);
    ck_assert_ptr_nonnull(strstr(error, text));
    ck_assert_ptr_nonnull(strstr(error, "http.port"));
    ck_assert_int_eq(other, -1);
    close(fd);
}
END_TEST

START_TEST(http_is_local_unless_made_public)
{
    int fd = -1, port;
    ck_assert_int_eq(home_listen_http("0.0.0.0", 0, 0, &fd, &port, error, sizeof error), CVM_EACCES);
    ck_assert_ptr_nonnull(strstr(error, "http.public"));
    ck_assert_int_eq(fd, -1);
    ck_assert_int_eq(home_listen_http("0.0.0.0", 0, 1, &fd, &port, error, sizeof error), CVM_OK);
    close(fd);
    ck_assert_int_eq(home_listen_http("no such host", 0, 0, &fd, &port, error, sizeof error), CVM_EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("home");
    TCase *c = tcase_create("home");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, makes_its_folders);
    tcase_add_test(c, refuses_a_home_that_is_not_there);
    tcase_add_test(c, names_a_file_that_is_in_the_way);
    tcase_add_test(c, locks_once);
    tcase_add_test(c, lock_stays_with_a_child_that_inherited_it);
    tcase_add_test(c, control_socket_is_private_and_replaces_a_stale_one);
    tcase_add_test(c, says_what_to_do_about_a_long_path);
    tcase_add_test(c, http_takes_a_free_port_and_tells_of_a_taken_one);
    tcase_add_test(c, http_is_local_unless_made_public);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
