// How a child ended: one tagged value, with what it used and what was enforced.
//
//   if (const auto* exited = std::get_if<Exited>(&outcome.ending)) return exited->code;
//   LOG(ERROR) << outcome.ToString();
//
// An Outcome is never an error of brood, and an error of brood is never an Outcome, with one exception that is both:
// SetupFailed, when the child could not be set up although the request was sound.
#ifndef BROOD_LAUNCHER_OUTCOME_H_
#define BROOD_LAUNCHER_OUTCOME_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "sandbox/layer.h"

namespace brood {

struct Exited {
  int64_t code = 0;  // 0 to 255; on Windows 32 bits, 0xC0000005 after an access violation for example.
};

struct Signaled {
  int signal = 0;
  bool core_dumped = false;
};

// The wall time was over and the tree was killed.
struct TimedOut {};

// Ended because of a limit: kMemory, kCpuTime or kOutput. A limit of file sizes is none of these: it sends SIGXFSZ, as the
// program may do itself, and nobody can tell which it was.
struct LimitHit {
  Layer limit = Layer::kMemory;
};

// A function that a thread was in.
struct StackFrame {
  uint64_t address = 0;  // Of the instruction; of a caller, the one behind the call.
  std::string function;  // As C++ writes it; empty: the file does not say.
  uint64_t offset = 0;   // From the function's beginning.
  std::string file;      // As the child sees it. Empty: code of no file.
};

// A system call that the policy forbids; the tree was killed before it took effect.
struct Violation {
  std::string syscall;                // "mount"; "unknown" if the number has no name, or was not learnt.
  int64_t number = -1;                // -1: not learnt, nor is what follows. The process ended before it could be asked.
  std::array<uint64_t, 6> args = {};  // As passed; only the first ones have a meaning for most calls.
  // Those that the call has, in words: "\"/mnt\"", "MS_RDONLY|MS_NOSUID". Empty: brood does not know what they mean. Text is from
  // the child's memory, cut at 97 bytes.
  std::vector<std::string> decoded;
  std::string arch;                   // "x86_64", "x86", "x32".
  int64_t tid = 0;                    // As seen by brood, not inside.
  uint64_t instruction_pointer = 0;
  // Where it was called from, the innermost first, if that was asked for (LaunchOptions::violation_stack). From the child's
  // memory: a hostile one can make it say anything.
  std::vector<StackFrame> stack;
  std::string stack_end;              // Why there are no more: "outermost function", or what is missing. Empty: not asked for.
};

// The child could not be set up: it never ran its target.
struct SetupFailed {
  std::string step;      // "user namespace", "mount", "exec", "bootstrap".
  int error_number = 0;  // errno, 0 if none.
  std::string detail;    // The object, and what to change.
};

// brood cannot know how the child ended: its guardian was killed, or the child's init was.
struct Lost {
  std::string reason;
};

// A system call whose rule has the action "notify".
struct Notified {
  std::string syscall;
  int64_t number = -1;
  uint64_t count = 0;
  std::array<uint64_t, 6> first_args = {};  // Of the first such call.
};

// A destination that is on no list and that the child tried to connect to. It got EACCES.
struct RefusedConnection {
  std::string to;  // "10.0.0.5:443", "[::1]:80", "udp 10.0.0.1:53", "unix:/run/a.sock", "others": more than 12 different ones.
  uint64_t count = 0;
};

// A file that was to be copied out (LaunchOptions::copy_out).
struct CopiedFile {
  std::string source;       // Inside.
  std::string destination;
  uint64_t bytes = 0;
  std::string problem;      // Why it was not copied: "missing", "too large: ...". Empty: it was.
};

struct Usage {
  absl::Duration wall_time;
  absl::Duration cpu_time;         // User and system, the whole tree.
  uint64_t memory_peak_bytes = 0;  // The tree; 0 if nothing here can tell.
  uint64_t max_rss_bytes = 0;      // Its largest process. getrusage(2), ru_maxrss.
};

// What became of one captured or counted stream.
struct StreamResult {
  uint64_t bytes = 0;      // Written by the child, as far as it was read.
  bool truncated = false;  // More was written than was kept.
  int error_number = 0;    // Where it was passed on and the file took no more: ENOSPC and the like. 0: none.
};

struct Outcome {
  std::variant<Exited, Signaled, TimedOut, LimitHit, Violation, SetupFailed, Lost> ending = Lost{"not ended"};
  Usage usage;
  absl::Time start = absl::InfinitePast();       // Wall clock; for people, not for arithmetic.
  std::vector<Layer> limits_hit;                 // Every limit that refused something, whether or not it ended the child.
  std::vector<RefusedConnection> refused;        // In the order of their first attempts.
  std::vector<CopiedFile> copied;                // In the order in which they were asked for.
  std::vector<Notified> notified;                // In the order of their first calls; at most 24 different ones.
  std::map<Layer, std::string> enforced;         // Layer -> by what.
  std::vector<int64_t> kept_groups;              // Supplementary groups that could not be dropped.
  StreamResult stdout_result;
  StreamResult stderr_result;

  // True if it exited with code 0, all that was to be copied out of it was (`copied`), and no file refused what it has written.
  bool ok() const;

  // Python's rule: 0 to 255 if it exited, -n if signal n ended it, brood's own kill being signal 9, except that a
  // violation is -SIGSYS, a CPU limit -SIGXCPU and an output limit -SIGXFSZ. -1000 for SetupFailed and
  // Lost, which have none.
  int64_t exit_code() const;

  // What `brood run` exits with: the program's own code, 128+n, 124, 125, 126 or 127.
  int ShellExitCode() const;

  // One word: "ok", "failed", "signaled", "timeout", "memory", "cpu", "output", "violation", "setup_failed", "lost".
  std::string_view StatusWord() const;

  // One line for people: "killed: memory limit (512 MiB)". No line feed.
  std::string ToString() const;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_OUTCOME_H_
