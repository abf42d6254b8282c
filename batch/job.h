// Jobs: the lines of a batch file, checked before anything runs.
//
//   absl::StatusOr<std::vector<Job>> jobs = LoadJobs("jobs.jsonl");
//   if (!jobs.ok()) std::cerr << jobs.status().message();   // One line for each bad line, with file and line number.
//
// Each line is one JSON object with the fields of serialization/job.fbs. Empty lines and lines that start with # are
// skipped, so that jobs can be commented out; a byte order mark and carriage returns are, too. A job without an id has
// its line number as id.
#ifndef BROOD_BATCH_JOB_H_
#define BROOD_BATCH_JOB_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "batch/policy_options.h"
#include "launcher/launch_options.h"
#include "launcher/programs.h"

namespace brood {

inline constexpr size_t kMaxJobLineBytes = size_t{1} << 20;
inline constexpr size_t kMaxJobFileBytes = size_t{1} << 30;

struct Job {
  std::string id;                 // Unique in its batch; 1 to 1,024 bytes.
  int line = 0;                   // In its file; 0 if it is from none.
  size_t number = 0;              // Its place among the jobs of its file, from 1; 0 if it is from none.
  uint64_t definition = 0;        // Hash of what its line says, however it is laid out; 0 if it is from none.
  std::vector<std::string> argv;  // A program and its arguments, or
  std::string target;             // a function: NAME, or PATH.so:NAME of a plugin, with
  std::vector<std::string> args;  // its arguments, JSON texts.
  std::vector<std::string> env;   // "K=V" sets, "K" passes the caller's value through.
  std::string cwd;                // Inside; relative: from where brood was called; empty: the batch's.
  std::string stdin_path;         // Empty: /dev/null. Opened by brood, outside the sandbox, as are the next two.
  std::string stdout_path;        // Empty: captured, or in the output directory.
  std::string stderr_path;
  std::string policy;          // Name or file; empty: the batch's.
  PolicyOptions options;       // Nearer than the batch's.
  std::optional<int> retries;  // Unset: the batch's.
  std::vector<CopyIn> copy_in;
  std::vector<CopyOut> copy_out;
  std::optional<Terminal> terminal;  // Of its own; stdin is typed, stdout has what is shown, and there is no stderr.
  // Several programs instead, joined by pipes, each with the fields of one. As they were written, and as ParseJobs has read them.
  std::vector<std::string> program_texts;
  std::vector<std::string> pipe_texts;
  std::vector<Job> programs;
  std::vector<ProgramPipe> pipes;
  StopAll stop = StopAll::kOnLimit;
};

// Reads the text of a job file; `file` is for messages.
//
// Errors: InvalidArgument with one line `FILE:LINE: field "argv": expected ...` for each bad line, at most 20 and the
//   number of the others.
absl::StatusOr<std::vector<Job>> ParseJobs(std::string_view text, const std::string& file);

// Reads a job file, "-" being standard input. Errors: as ParseJobs, and those of reading.
absl::StatusOr<std::vector<Job>> LoadJobs(const std::string& path);

}  // namespace brood

#endif  // BROOD_BATCH_JOB_H_
