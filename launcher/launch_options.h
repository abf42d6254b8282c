// What to start, and how.
#ifndef BROOD_LAUNCHER_LAUNCH_OPTIONS_H_
#define BROOD_LAUNCHER_LAUNCH_OPTIONS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/untrusted_directories.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"

namespace brood {

// Where one of the child's standard streams leads.
struct Stdio {
  enum class Kind {
    kInherit,  // The caller's own stream.
    kNull,     // /dev/null.
    kFd,       // `fd`, borrowed until Start returns.
    kPath,     // `path`: opened for reading (stdin), or created and truncated (stdout, stderr), by the caller. No FIFO.
    kCapture,  // stdout and stderr only: kept in memory, see Process::TakeStdout; or in `fd`, if that is given.
    kMerge,    // stderr only: the same place as stdout.
    kRelay,    // As kFd, but the child gets a pipe of its own and its guardian passes on what goes through, whatever `fd` is. What is
               // seen at one end is told at the other: an end of file, or that nobody reads. Linux; no forkserver, no server.
  };
  Kind kind = Kind::kInherit;
  int fd = -1;
  std::string path;
  // kCapture: keep the first so many bytes, the rest is counted and dropped. 0: 16 MiB. kRelay of stdout and stderr: keep so many of
  // what is passed on, for TakeStdout and TakeStderr. 0: none.
  uint64_t capture_bytes = 0;

  static Stdio Inherit() { return {}; }
  static Stdio Null() { return {.kind = Kind::kNull}; }
  static Stdio Fd(int fd) { return {.kind = Kind::kFd, .fd = fd}; }
  static Stdio Path(std::string path) { return {.kind = Kind::kPath, .path = std::move(path)}; }
  static Stdio Capture(uint64_t keep_bytes = 0) { return {.kind = Kind::kCapture, .capture_bytes = keep_bytes}; }
  static Stdio Merge() { return {.kind = Kind::kMerge}; }
  static Stdio Relay(int fd, uint64_t keep_bytes = 0) { return {.kind = Kind::kRelay, .fd = fd, .capture_bytes = keep_bytes}; }
};

// A pseudo-terminal of the child's own: its three standard streams, and the controlling terminal of its own session. The
// guardian holds the other side. What LaunchOptions::stdin_spec leads to is typed (a terminal is refused: relay it by a
// pipe, as `brood run` does), and where stdout_spec leads goes what is shown, counted as output; stderr_spec must be the
// default, or Merge. At the end of what is typed each read of the child's gets an end of file, as Ctrl-D gives it. When
// nobody takes what is shown any more, the terminal hangs up (SIGHUP). Linux; no forkserver for functions, no server.
struct Terminal {
  uint16_t rows = 24;
  uint16_t columns = 80;
  int like = -1;      // A terminal whose settings it begins with, and whose size; borrowed until Start returns.
  bool echo = false;  // Shows what is typed, at first. With `like`, as that does.
};

// A descriptor that the child gets besides its standard streams.
struct InheritedFd {
  int fd = -1;        // The caller's; borrowed until Start returns.
  int child_fd = -1;  // Its number in the child, above 2.
};

// How a child's descendants that outlive it are treated.
enum class TreeEnd {
  kKill,  // Killed before the outcome is given.
  kWait,  // Waited for, within the limits.
};

// What becomes of a child whose own root has no such `cwd`.
enum class CwdMissing {
  kError,
  kRoot,  // It starts in "/".
};

// Whether what a forkserver starts may have a sandbox that others had before it.
enum class Isolation {
  kKept,   // It may, where nothing of them is left in it (docs/slots.md).
  kFresh,  // One is made for it alone: ahead of it, where the policy can have such; else, as with the other start methods, with it.
};

// A regular file of the caller's that is copied into the child's own root before the child starts, with the directories above
// it. Where there is a file already, or nothing can be written, the launch fails (step "copy-in").
struct CopyIn {
  std::string source;
  std::string destination;  // Absolute, inside.
};

// A regular file that is copied out of the child's own root when nothing of its tree is left: Outcome::copied says whether.
// Of what the child left no link is followed and nothing is waited for.
struct CopyOut {
  std::string source;       // Absolute, inside.
  std::string destination;  // Replaced, once the file is complete. Its directory must be there.
  uint64_t max_bytes = uint64_t{64} << 20;
};

struct LaunchOptions {
  std::vector<std::string> argv;  // argv[0] is the program, looked up by the child's PATH if it has no slash.

  // Environment: what the policy brings (or `environment_base`), then `env` on top. "K=V" sets, "K" passes the
  // caller's value through (nothing if it has none).
  std::vector<std::string> env;
  std::optional<EnvironmentBase> environment_base;

  // Inside; a relative path starts from the caller's. Empty: the caller's if it is visible inside, else "/".
  std::string cwd;
  CwdMissing cwd_missing = CwdMissing::kError;

  Stdio stdin_spec;
  Stdio stdout_spec;
  Stdio stderr_spec;
  std::vector<InheritedFd> inherited;
  std::optional<Terminal> terminal;

  std::shared_ptr<const CompiledPolicy> policy;  // Null: the built-in `none`.
  TreeEnd tree_end = TreeEnd::kKill;
  // A violation is reported with the functions that the thread was in: Violation::stack. Costs some milliseconds, then only.
  bool violation_stack = false;
  Isolation isolation = Isolation::kKept;
  std::string name;  // For people; empty: argv[0].

  // Besides those that the policy lets the child write to: in them no link is followed on the way to a stream's path, or to a file of
  // `copy_in` or `copy_out`. Null: there are none.
  std::shared_ptr<const UntrustedDirectories> untrusted;

  // Both need a policy with an own root, and go neither with a server nor, for functions, with a forkserver. At most 16 each.
  std::vector<CopyIn> copy_in;
  std::vector<CopyOut> copy_out;

  // The socket of a `brood serve` that starts the child in our place, as its user, with our umask, and with our nice value and
  // resource limits where its own allow it (docs/serve.md); empty: nobody does. `server_policy` is what it is asked for, and may only be tighter than the server's own, which is what the
  // child has if nothing is said here (then `policy` is, if that is set). The child ends with this process, and with the server.
  std::string server;
  std::optional<Policy> server_policy;
  // The server's user, where that is neither ours nor root: it gets all that a request says.
  std::optional<uint32_t> server_uid;
  // The path of a template of the server's, which bears the child: of a function. Empty: the server does.
  std::string server_template;

  // A process that ends in order waits for its children that are still running, and terminates those that are daemons. A
  // function that is a daemon may not start functions. Nothing: as the process that starts it.
  std::optional<bool> daemon;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_LAUNCH_OPTIONS_H_
