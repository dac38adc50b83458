/* LD_PRELOAD: a program "built without fsync". What it writes reaches the file
 * system and is never made durable. Under dropfs the crash test must fail then. */
#define _GNU_SOURCE
#include <unistd.h>

int fsync(int fd) {
  (void)fd;
  return 0;
}

int fdatasync(int fd) {
  (void)fd;
  return 0;
}
