// Makes set-user-id files in a directory, in every way that there is.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(int argc, char** argv) {
  if (argc != 2 || chdir(argv[1]) != 0) return Usage("gives_set_id DIRECTORY");
  int code = kRefused;
  code &= Attempt("open", open("opened", O_WRONLY | O_CREAT, 04755));
  code &= Attempt("creat", creat("created", 06755));
  code &= Attempt("mknod", mknod("made", S_IFREG | 04755, 0));
  code &= Attempt("O_TMPFILE", open(".", O_WRONLY | O_TMPFILE, 04755));
  const unsigned long long how[3] = {O_WRONLY | O_CREAT, 04755, 0};
  code &= Attempt("openat2", syscall(437, AT_FDCWD, "opened2", how, sizeof how));
  close(open("plain", O_WRONLY | O_CREAT, 0755));
  code &= Attempt("chmod", chmod("plain", 04755));
  code &= Attempt("fchmodat", fchmodat(AT_FDCWD, "plain", 02755, 0));
  code &= Attempt("fchmodat2", syscall(452, AT_FDCWD, "plain", 04755, 0));
  const int fd = open("plain", O_RDONLY);
  code &= Attempt("fchmod", fchmod(fd, 06755));
  return code;
}
