// JUnit's XML, in the form that CI systems agree on: https://github.com/testmoapp/junitxml
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "batch/reports.h"
#include "batch/text.h"

namespace brood {
namespace {

// Text for an attribute or an element. What XML 1.0 cannot hold, not even escaped, becomes U+FFFD.
// https://www.w3.org/TR/xml/#charsets
std::string Escaped(std::string_view text) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  std::string escaped;
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const std::string_view character = text.substr(0, length == 0 ? 1 : length);
    text.remove_prefix(character.size());
    const auto byte = static_cast<unsigned char>(character[0]);
    if (character == "&") {
      escaped += "&amp;";
    } else if (character == "<") {
      escaped += "&lt;";
    } else if (character == ">") {
      escaped += "&gt;";
    } else if (character == "\"") {
      escaped += "&quot;";
    } else if (character == "\n" || character == "\t" || character == "\r") {
      // As references: an attribute's line feed would be read as a blank.
      absl::StrAppend(&escaped, "&#", static_cast<int>(byte), ";");
    } else if (length == 0 || byte < 0x20 || character == "\xef\xbf\xbe" || character == "\xef\xbf\xbf") {
      escaped += kReplacement;
    } else {
      escaped += character;
    }
  }
  return escaped;
}

std::string Seconds(absl::Duration duration) { return absl::StrFormat("%.3f", absl::ToDoubleSeconds(duration)); }

bool CouldNotRun(const Outcome& outcome) {
  return std::holds_alternative<SetupFailed>(outcome.ending) || std::holds_alternative<Lost>(outcome.ending);
}

std::string CaseStart(const std::string& id, absl::Duration time) {
  return absl::StrCat("    <testcase name=\"", Escaped(id), "\" classname=\"brood\" time=\"", Seconds(time), "\"");
}

std::string TestCase(const ReportEntry& entry) {
  const std::string start = CaseStart(entry.job->id, entry.outcome.usage.wall_time);
  if (entry.outcome.ok()) return absl::StrCat(start, "/>\n");
  const std::string_view kind = CouldNotRun(entry.outcome) ? "error" : "failure";
  return absl::StrCat(start, ">\n      <", kind, " type=\"", entry.outcome.StatusWord(), "\" message=\"",
                      Escaped(entry.outcome.ToString()), "\">", Escaped(entry.stderr_tail), "</", kind,
                      ">\n    </testcase>\n");
}

}  // namespace

std::string JunitXml(const std::vector<Job>& jobs, const std::vector<ReportEntry>& entries) {
  std::string cases;
  size_t failures = 0;
  size_t errors = 0;
  size_t skipped = 0;
  absl::Duration time;
  absl::Time start = absl::InfiniteFuture();
  std::set<std::string_view> ended;
  for (const ReportEntry& entry : entries) {
    ended.insert(entry.job->id);
    cases += TestCase(entry);
    time += entry.outcome.usage.wall_time;
    if (entry.outcome.start != absl::InfinitePast()) start = std::min(start, entry.outcome.start);
    if (entry.outcome.ok()) continue;
    ++(CouldNotRun(entry.outcome) ? errors : failures);
  }
  for (const Job& job : jobs) {
    if (ended.contains(job.id)) continue;
    ++skipped;
    absl::StrAppend(&cases, CaseStart(job.id, absl::ZeroDuration()),
                    ">\n      <skipped message=\"it has no result\"/>\n", "    </testcase>\n");
  }
  const std::string counts =
      absl::StrCat(" tests=\"", entries.size() + skipped, "\" failures=\"", failures, "\" errors=\"", errors,
                   "\" skipped=\"", skipped, "\" time=\"", Seconds(time), "\"");
  const std::string timestamp = start == absl::InfiniteFuture()
                                    ? ""
                                    : absl::FormatTime(" timestamp=\"%Y-%m-%dT%H:%M:%S\"", start, absl::UTCTimeZone());
  return absl::StrCat("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites", counts,
                      ">\n  <testsuite name=\"brood batch\"", counts, timestamp, ">\n", cases,
                      "  </testsuite>\n</testsuites>\n");
}

}  // namespace brood
