// Chrome's trace event format: "Trace Event Format", complete events ("ph": "X"), times in microseconds.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/time/time.h"
#include "batch/reports.h"

namespace brood {

std::string TraceJson(const std::vector<ReportEntry>& entries) {
  using Json = nlohmann::ordered_json;
  std::vector<const ReportEntry*> by_start;
  for (const ReportEntry& entry : entries) {
    if (entry.outcome.start != absl::InfinitePast()) by_start.push_back(&entry);
  }
  std::stable_sort(by_start.begin(), by_start.end(), [](const ReportEntry* left, const ReportEntry* right) {
    return left->outcome.start < right->outcome.start;
  });
  Json events = Json::array();
  std::vector<absl::Time> free_at;  // Of each row.
  for (const ReportEntry* entry : by_start) {
    const Outcome& outcome = entry->outcome;
    auto row = std::find_if(free_at.begin(), free_at.end(), [&](absl::Time time) { return time <= outcome.start; });
    if (row == free_at.end()) row = free_at.insert(row, absl::InfinitePast());
    *row = outcome.start + outcome.usage.wall_time;
    events.push_back({{"name", entry->job->id},
                      {"cat", outcome.StatusWord()},
                      {"ph", "X"},
                      {"ts", absl::ToUnixMicros(outcome.start)},
                      {"dur", absl::ToInt64Microseconds(outcome.usage.wall_time)},
                      {"pid", 1},
                      {"tid", row - free_at.begin() + 1},
                      {"args",
                       {{"status", outcome.StatusWord()},
                        {"ending", outcome.ToString()},
                        {"attempt", entry->attempt},
                        {"cpu_s", absl::ToDoubleSeconds(outcome.usage.cpu_time)},
                        {"memory_peak_bytes", outcome.usage.memory_peak_bytes}}}});
  }
  const Json trace = {{"displayTimeUnit", "ms"}, {"traceEvents", events}};
  return trace.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace brood
