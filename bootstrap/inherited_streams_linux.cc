#include "bootstrap/inherited_streams.h"

#include <stdio_ext.h>

#include <cstdio>

namespace brood::internal {
namespace {

void Forget(FILE* stream) {
#ifdef __GLIBC__
  if (__fpending(stream) == 0 && stream->_IO_read_ptr == stream->_IO_read_end) return;
#endif
  __fpurge(stream);
}

}  // namespace

void ForgetInheritedText() {
  Forget(stdin);
  Forget(stdout);
  Forget(stderr);
}

}  // namespace brood::internal
