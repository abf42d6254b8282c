#include "forkserver/server_report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace brood {
std::string ServerReport::ToString() const {
  std::string text = absl::StrCat("ready in ", absl::FormatDuration(absl::Trunc(time, absl::Microseconds(1))));
  const char* before = ": ";
  for (const PreloadReport& preload : preloads) {
    absl::StrAppend(&text, before, preload.name, " ", absl::FormatDuration(absl::Trunc(preload.time, absl::Microseconds(1))), ", ",
                    absl::StrFormat("%.1f MiB", static_cast<double>(preload.memory_bytes) / (1 << 20)));
    before = "; ";
  }
  if (!frozen.empty()) absl::StrAppend(&text, "; ", frozen);
  return text;
}

}  // namespace brood
