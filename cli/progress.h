// What a person sees of a running batch: one live line on a terminal, and a summary at the end. All on standard error.
#ifndef BROOD_CLI_PROGRESS_H_
#define BROOD_CLI_PROGRESS_H_

#include <string>

#include "absl/time/time.h"
#include "batch/scheduler.h"

namespace brood {

// "12/300 done: 11 ok, 1 failed; 2 running; 24.4/s, 12s left".
std::string ProgressLine(const BatchSummary& so_far);

// "300 jobs in 12.3 s (24.4/s): 288 ok, 5 failed, 7 timeout".
std::string SummaryLine(const BatchSummary& summary);

class Progress {
 public:
  enum class When { kAuto, kAlways, kNever };

  // kAuto: on if standard error is a terminal that can rewrite a line. `title` begins the line, "sandboxed: ".
  explicit Progress(When when, std::string title = "");

  // Shows the line, if it is time to.
  void Update(const BatchSummary& so_far);

  // Prints a line above the live one, if progress is shown at all.
  void Note(std::string_view text);

  // Removes the live line.
  void Clear();

 private:
  std::string title_;
  bool shown_ = false;
  bool rewrites_ = false;  // A terminal; else each update is a line of its own.
  bool colors_ = false;
  bool line_present_ = false;
  absl::Time last_ = absl::InfinitePast();
};

}  // namespace brood

#endif  // BROOD_CLI_PROGRESS_H_
