#include <cstdlib>

#include "bootstrap/exit.h"

namespace brood::internal {
namespace {

void AtExit(int status, void* /*unused*/) {
  // Again, for a finalizer that calls exit(3) in its turn: further down lie the handlers that a forked child has of its
  // parent, which belong to the parent's files and locks.
  CatchExit();
  EndProcess(status & 0xff);
}

}  // namespace

void CatchExit() { on_exit(AtExit, nullptr); }

}  // namespace brood::internal
