#include "cli/progress.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "cli/terminal.h"

namespace brood {
namespace {

std::string Counts(const BatchSummary& summary) {
  // In the order of the result's documentation, so that the same batch reads the same every time.
  constexpr std::string_view kOrder[] = {"ok",  "failed", "signaled",  "timeout",      "memory",
                                         "cpu", "output", "violation", "setup_failed", "lost"};
  std::vector<std::string> parts;
  for (const std::string_view status : kOrder) {
    const auto entry = summary.by_status.find(std::string(status));
    if (entry != summary.by_status.end()) parts.push_back(absl::StrCat(entry->second, " ", status));
  }
  return absl::StrJoin(parts, ", ");
}

double PerSecond(const BatchSummary& summary) {
  const double seconds = absl::ToDoubleSeconds(summary.wall_time);
  return seconds > 0 ? static_cast<double>(summary.finished) / seconds : 0;
}

}  // namespace

std::string ProgressLine(const BatchSummary& so_far) {
  std::string line = absl::StrCat(so_far.finished, "/", so_far.total, " done");
  if (so_far.finished > 0) absl::StrAppend(&line, ": ", Counts(so_far));
  absl::StrAppend(&line, "; ", so_far.running, " running");
  const double rate = PerSecond(so_far);
  if (rate > 0) {
    const double left = static_cast<double>(so_far.total - so_far.finished) / rate;
    absl::StrAppendFormat(&line, "; %.1f/s, %s left", rate,
                          absl::FormatDuration(absl::Seconds(static_cast<int64_t>(left + 0.5))));
  }
  return line;
}

std::string SummaryLine(const BatchSummary& summary) {
  std::string line =
      absl::StrFormat("%d %s in %.1f s (%.1f/s)", summary.finished, summary.finished == 1 ? "job" : "jobs",
                      absl::ToDoubleSeconds(summary.wall_time), PerSecond(summary));
  if (summary.finished > 0) absl::StrAppend(&line, ": ", Counts(summary));
  if (summary.retried > 0) absl::StrAppend(&line, "; ", summary.retried, " further attempts");
  const size_t missing = summary.total - summary.finished;
  if (missing > 0) {
    absl::StrAppend(&line, "; ", missing, " without a result (", summary.interrupted ? "interrupted" : "halted", ")");
  }
  return line;
}

Progress::Progress(When when, std::string title) : title_(std::move(title)) {
  const char* no_color = std::getenv("NO_COLOR");
  const bool capable = TerminalRewritesLines();
  rewrites_ = capable;
  // https://no-color.org: any value that is not empty.
  colors_ = capable && (no_color == nullptr || *no_color == '\0');
  shown_ = when == When::kAlways || (when == When::kAuto && capable);
}

void Progress::Update(const BatchSummary& so_far) {
  if (!shown_) return;
  const absl::Time now = absl::Now();
  const absl::Duration interval = rewrites_ ? absl::Milliseconds(100) : absl::Seconds(1);
  if (now - last_ < interval) return;
  last_ = now;
  std::string line = absl::StrCat(title_, ProgressLine(so_far));
  if (!rewrites_) {
    absl::FPrintF(stderr, "brood batch: %s\n", line);
    return;
  }
  // A line that wraps could not be rewritten.
  const size_t columns = TerminalColumns();
  if (line.size() >= columns) line.resize(columns - 1);
  const bool red = colors_ && so_far.finished > so_far.ok();
  absl::FPrintF(stderr, "\r\x1b[K%s%s%s", red ? "\x1b[31m" : "", line, red ? "\x1b[0m" : "");
  std::fflush(stderr);
  line_present_ = true;
}

void Progress::Note(std::string_view text) {
  if (!shown_) return;
  Clear();
  absl::FPrintF(stderr, "%s\n", text);
  if (rewrites_) last_ = absl::InfinitePast();
}

void Progress::Clear() {
  if (!line_present_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  line_present_ = false;
}

}  // namespace brood
