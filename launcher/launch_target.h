// What runs in a child once it is set up. Plain, because code after the fork reads it.
#ifndef BROOD_LAUNCHER_LAUNCH_TARGET_H_
#define BROOD_LAUNCHER_LAUNCH_TARGET_H_

namespace brood::internal {

struct LaunchTarget {
  enum class Kind {
    kProgram,     // options.argv, looked up by PATH inside.
    kExecutable,  // `executable_fd` with options.argv: own binary of the spawn method. It inherits the set-up socket.
    kFunction,    // `run(arg, setup_fd)` in a fork of the caller; never returns.
  };
  Kind kind = Kind::kProgram;
  int executable_fd = -1;

  // kExecutable, kFunction: the number that the set-up socket has in the child. The bootstrap writes one SetupMessage to
  // it (kReady, or kFailed) before the target runs, and keeps it: it ends when the owner or the guardian does.
  int setup_child_fd = -1;

  // Of a forkserver's child: it runs nothing of the program's until a byte has come to it there, from the launching side's end;
  // without one it ends.
  bool awaits_word = false;

  // kFunction: called in the child, in its sandbox. `setup_fd` as above. Must not return.
  void (*run)(void* arg, int setup_fd) = nullptr;
  void* arg = nullptr;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_LAUNCH_TARGET_H_
