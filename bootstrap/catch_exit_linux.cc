#include <cstdlib>

#include "bootstrap/exit.h"

namespace brood::internal {
namespace {

// Not zero, so that it lies among the data: see fork_generation_linux.cc.
enum class State { kUnprepared = 1, kPrepared, kCatches };
State g_state = State::kUnprepared;

void AtExit(int status, void* /*unused*/) {
  if (g_state != State::kCatches) return;
  // Again, for a finalizer that calls exit(3) in its turn: further down lie the handlers that a forked child has of its
  // parent, which belong to the parent's files and locks.
  CatchExit();
  EndProcess(status & 0xff);
}

}  // namespace

void CatchExit() {
  g_state = State::kCatches;
  on_exit(AtExit, nullptr);
}

void PrepareToCatchExit() {
  g_state = State::kPrepared;
  on_exit(AtExit, nullptr);
}

void CatchExitAsPrepared() {
  if (g_state != State::kPrepared) return CatchExit();
  g_state = State::kCatches;
}

}  // namespace brood::internal
