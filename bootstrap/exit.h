// How a target ends its process other than by returning.
#ifndef BROOD_BOOTSTRAP_EXIT_H_
#define BROOD_BOOTSTRAP_EXIT_H_

#include <optional>
#include <string>
#include <string_view>

namespace brood {

// What an exit-style target returns: its process's exit code, 0 to 255. Anything else is an error of the caller's: a
// message on stderr and code 1.
struct ExitCode {
  int value = 0;
};

// End the process with code 0, with `code` (0 to 255; anything else as above), or with `text` on stderr and code 1.
// Destructors on the way run, then finalizers, then stdout and stderr are flushed (other streams are not: a forked
// child has copies of its parent's). Handlers of atexit(3) and destructors of static objects do not run.
//
// exit(3) in a target runs the handlers that were registered since the target began, and then does the same.
//
// On the thread that runs the target this is an exception that is not a std::exception: `catch (...)` stops it unless
// it throws it again, and it cannot leave a noexcept function. On any other thread, and outside of a target, nothing is
// unwound.
[[noreturn]] void Exit();
[[noreturn]] void Exit(int code);
[[noreturn]] void Exit(std::string_view text);
[[noreturn]] inline void Exit(const char* text) { Exit(std::string_view(text)); }

namespace internal {

// What Exit throws.
struct ExitRequest {
  int code = 0;
  std::optional<std::string> text;
};

// What Exit comes to. `take`, which must not return, is asked instead once there is one: that of a program whose plugin this is.
[[noreturn]] void RequestExit(ExitRequest request);
void OnExitRequest(void (*take)(ExitRequest request));

// While one exists, Exit on this thread throws.
class ExitScope {
 public:
  ExitScope();
  ~ExitScope();
};

// Says what there is to say on stderr; the exit code.
int ReportExit(const ExitRequest& request);

// What ends the children of this process, between the finalizers of priority 0 and above and the others. Set by the
// launcher. Not inherited by a fork.
void SetEndOfChildren(void (*end_children)());

// The first half of EndProcess: finalizers and children.
void RunAtExit();

// RunAtExit, flushes the standard streams, ends the process without its atexit handlers. Output that cannot be written
// turns code 0 into 1. If two threads end the process, the second one waits for the first.
[[noreturn]] void EndProcess(int code);

// `last` is called where EndProcess would end the process, and must not return.
void OnLastStep(void (*last)());

// From here on exit(3) is EndProcess, once the handlers that are registered later have run. In a child only.
void CatchExit();

// In a process whose forks are to catch it: registers what they would, in memory that each would copy. It changes nothing here.
void PrepareToCatchExit();

// CatchExit, in such a fork in which no handler was registered since.
void CatchExitAsPrepared();

}  // namespace internal
}  // namespace brood

#endif  // BROOD_BOOTSTRAP_EXIT_H_
