// Several programs, joined by pipes, that run and end as one: a pipeline, or an interactor and a solution that talk both ways.
//
//   BROOD_ASSIGN_OR_RETURN(Programs programs, Programs::Launch({solution, interactor}, {{.from = {0, 1}, .to = {1, 0}},
//                                                                                     {.from = {1, 1}, .to = {0, 0}}}));
//   BROOD_ASSIGN_OR_RETURN(std::vector<ProgramEnded> ended, programs.Join());
//
// Each has the sandbox, the limits and the streams of its own LaunchOptions, but for what a pipe takes the place of. What goes
// through a pipe goes through the guardian of the program that writes it: it counts as its output, an end at one side is told at
// the other, and no program holds an end that is another's. Two that wait for each other with full pipes wait until a limit ends
// one. One object is for one thread.
#ifndef BROOD_LAUNCHER_PROGRAMS_H_
#define BROOD_LAUNCHER_PROGRAMS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "launcher/launch_options.h"
#include "launcher/process.h"

namespace brood {

struct ProgramDescriptor {
  size_t program = 0;  // Its place in the list.
  int fd = 0;          // Its own number of it: 1 or 2 where it writes, 0 where it reads, or from 3 on in both cases.
};

struct ProgramPipe {
  ProgramDescriptor from;
  ProgramDescriptor to;
  uint64_t keep_bytes = 0;  // Of what goes through, for ProgramEnded; 0: none. Of descriptors 1 and 2 only.
};

// At which end of one program all the others are killed.
enum class StopAll {
  kNever,
  kOnLimit,    // A limit, a violation, a set-up that failed, or lost.
  kOnFailure,  // Any that is not an exit with code 0.
  kOnEnd,      // Any.
};

struct ProgramEnded {
  Outcome outcome;
  std::optional<size_t> ended_with;  // It was killed because this one had ended.
  UniqueFd stdout_file;              // As Process::TakeStdout: what was captured, or kept of what it wrote into a pipe.
  UniqueFd stderr_file;
};

class Programs {  // Move-only. Destroying it kills what still runs.
 public:
  // Starts all, or none. Does not wait for their set-up: one that fails is that program's outcome.
  //
  // Errors: InvalidArgument (a pipe: "pipe 0: to: ..."); those of Process::Launch, "program 1: ...". Unimplemented (Windows).
  static absl::StatusOr<Programs> Launch(std::vector<LaunchOptions> programs, const std::vector<ProgramPipe>& pipes,
                                         StopAll stop = StopAll::kOnLimit);

  // Readable when Advance has something to do. Borrowed.
  int sentinel() const { return sentinel_.get(); }

  // Takes what has ended, and kills the others if that is due. Does not wait. True once all have ended.
  bool Advance();

  // Kills all.
  absl::Status Kill();

  // Waits until all have ended; once. DeadlineExceeded: some go on.
  absl::StatusOr<std::vector<ProgramEnded>> Join(absl::Duration timeout = absl::InfiniteDuration());

 private:
  explicit Programs(StopAll stop) : stop_(stop) {}

  StopAll stop_;
  UniqueFd sentinel_;
  std::vector<Process> processes_;
  std::vector<std::optional<ProgramEnded>> ended_;
  size_t left_ = 0;
  std::optional<size_t> killed_by_;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_PROGRAMS_H_
