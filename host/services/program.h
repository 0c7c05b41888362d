/* A program file that may become the host: opened once, so that what was checked is what runs, and asked what it is
 * (`cvmhost version --output json`). Any thread; program_open waits for the answer, at most PROGRAM_ANSWER_MS. */
#ifndef HOST_SERVICES_PROGRAM_H
#define HOST_SERVICES_PROGRAM_H

#include "core/page.h"

#define PROGRAM_ANSWER_MS 5000
#define PROGRAM_HANDOVER 1 /* the form in which one supervisor hands its host over to the next */

struct program {
    int fd; /* -1: none */
    char path[PAGE_PATH_MAX];
    char version[32];
    int64_t database;    /* the newest format of a store that it reads */
    uint64_t page_magic; /* of the page that it shares with its host */
    uint32_t page_bytes;
    int handover;
};

/* Gives an opened program. CVM_ENOENT, CVM_EACCES, CVM_ETIMEOUT or CVM_EINVAL with a sentence that names the path. */
int program_open(const char *path, struct program *ret_program, char *ret_error, size_t error_size)
    __attribute__((warn_unused_result));
void program_close(struct program *program); /* accepts one that holds nothing */

/* Replaces this process; returns only where that fails, with errno. fd -1: the program that runs. */
void program_exec(int fd, const char *path, char *const *argv);

/* Whether a host that keeps a store of format `database` can be replaced by it: CVM_OK, or CVM_ESTATE with a sentence.
 * `one_way`: it may bring the store to a format that the host of now cannot read. */
int program_fits(const struct program *program, int64_t database, bool one_way, char *ret_error, size_t error_size)
    __attribute__((warn_unused_result));

/* The path of the program that runs, also where its file was replaced. "" where it cannot be told. */
void program_self(char *ret_path, size_t size);

#endif
