// Opens a file by its inode number, past every mount: file handle 2 is the root of most file systems.
#define _GNU_SOURCE
#include <fcntl.h>

#include "tests/programs/attack.h"

int main(void) {
  union {
    struct file_handle handle;
    char bytes[sizeof(struct file_handle) + 8];
  } root;
  memset(&root, 0, sizeof root);
  root.handle.handle_bytes = 8;
  root.handle.handle_type = 1;
  root.handle.f_handle[0] = 2;
  const int mount = open("/usr", O_RDONLY | O_DIRECTORY);
  return Attempt("open by handle", open_by_handle_at(mount, &root.handle, O_RDONLY | O_DIRECTORY));
}
