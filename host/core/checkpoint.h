/* A thread of low priority that folds the store's write-ahead log back into the database while the writer goes on
 * committing. */
#ifndef HOST_CORE_CHECKPOINT_H
#define HOST_CORE_CHECKPOINT_H

struct checkpointer;

/* `path` of the database and `arg` live longer. done(arg) runs on the thread after each time. NULL: there is no memory
 * or no thread for it. */
struct checkpointer *checkpointer_start(const char *path, void (*done)(void *arg), void *arg);

/* Once; not again before it is done. Any thread. Only while something is in the log that was not folded back: as long
 * as that holds no commit can begin the log anew, and SQLite before 3.51.3 may lose what is committed where that
 * happens in the moment a checkpoint begins. */
void checkpointer_begin(struct checkpointer *c);

/* Waits until one that is under way has ended. NULL: nothing. */
void checkpointer_stop(struct checkpointer *c);

#endif
