/* The lines that a confined process ran, in a build that counts them (b_coverage). Such a process may write no file,
 * and often is killed: one beside it that shares its memory waits for its end and writes for it. Else nothing happens.
 */
#ifndef TESTS_UNIT_COUNTED_H
#define TESTS_UNIT_COUNTED_H

void counted_start(void); /* in the process, before it confines itself; it has one thread */

#endif
