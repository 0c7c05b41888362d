/* Files of plugins that an earlier start of this program has read, checked and copied. They are known again by what the
 * file system says of them: path, device, inode, size, and the times of their last change to the nanosecond. What is
 * known again is not checked, hashed and compared again. Kept in data/builds/.seen; good for one program and one boot
 * of the machine, as a power cut may leave other bytes under the same name. Knows no manifest. One thread. */
#ifndef HOST_CORE_SEEN_H
#define HOST_CORE_SEEN_H

#include <cvm/cvm.h>
#include <sys/stat.h>

struct seen;

/* What is known of a build once all of its files are. A key of 0 is that of no file. */
struct seen_build {
    uint64_t files;       /* of the manifest and all files that it names, in order */
    uint64_t library;     /* the operator's */
    uint64_t copy, saved; /* under data/builds: library and manifest */
    char content[65], build[65];
    bool may_unload, may_inline;
    unsigned char identity[sizeof(cvm_plugin_descriptor)]; /* as the file has it */
    char inline_reasons[480];
};

/* Nothing is known where the file is absent, damaged, or of another program or boot. NULL: no memory. */
struct seen *seen_open(const char *home);
void seen_save(struct seen *seen); /* what was noted; nothing is written where that is what was known */
void seen_free(struct seen *seen); /* accepts NULL */

/* 0: it changed so lately that it could change again under the same times. */
uint64_t seen_key(const char *path, const struct stat *st);
uint64_t seen_key_of(const char *path);          /* the same by stat(); 0: it is no file either */
uint64_t seen_join(uint64_t keys, uint64_t key); /* of a sequence; 0 where one of them is 0. It begins with 1 */

/* Notes it for the next start. True: it was known; never for 0. Accepts NULL. */
bool seen_file(struct seen *seen, uint64_t key);
const struct seen_build *seen_find(const struct seen *seen, uint64_t files); /* NULL: unknown. Accepts NULL */
void seen_note(struct seen *seen, const struct seen_build *build);           /* accepts NULL */

/* What was noted since the mark turned out to be faulty. Both accept NULL. */
size_t seen_mark(const struct seen *seen);
void seen_take_back(struct seen *seen, size_t mark);

#endif
