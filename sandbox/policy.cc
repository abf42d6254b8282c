#include "sandbox/policy.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/numeric/int128.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "sandbox/destination.h"
#include "sandbox/made_files.h"

namespace brood {
namespace {

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

absl::Status BadSize(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("size \"", text, "\": ", why, "; write bytes, or a number with K, M or G: 512M"));
}

absl::Status BadTime(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("time \"", text, "\": ", why, "; write seconds, or a number with ms, s, m or h: 10s"));
}

bool AllDigits(std::string_view text) {
  for (const char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  }
  return !text.empty();
}

}  // namespace

void LayFiles(std::vector<FileRule> nearer, std::vector<FileRule>& files) {
  const auto replaces = [](const FileRule& rule, const FileRule& base) {
    if (rule.destination == base.destination) return true;
    if (!ShowsHost(rule) || rule.optional) return false;
    if (!base.optional || base.access != FileRule::Access::kReadOnly) return false;
    const std::string_view directory = absl::StripSuffix(rule.destination, "/");
    return base.destination.size() > directory.size() + 1 && absl::StartsWith(base.destination, directory) &&
           base.destination[directory.size()] == '/';
  };
  std::erase_if(files, [&](const FileRule& base) {
    return std::any_of(nearer.begin(), nearer.end(), [&](const FileRule& rule) { return replaces(rule, base); });
  });
  std::move(nearer.begin(), nearer.end(), std::back_inserter(files));
}

absl::Status CheckHostname(std::string_view name) {
  constexpr size_t kMaxBytes = 64;  // __NEW_UTS_LEN
  if (!name.empty() && name.size() <= kMaxBytes && name.find('\0') == std::string_view::npos) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("expected 1 to ", kMaxBytes, " bytes, none of them zero, got \"", absl::CHexEscape(name.substr(0, 100)), "\""));
}

absl::StatusOr<uint64_t> ParseSize(std::string_view text) {
  std::string_view digits = text;
  uint64_t unit = 1;
  if (absl::ConsumeSuffix(&digits, "K")) {
    unit = uint64_t{1} << 10;
  } else if (absl::ConsumeSuffix(&digits, "M")) {
    unit = uint64_t{1} << 20;
  } else if (absl::ConsumeSuffix(&digits, "G")) {
    unit = uint64_t{1} << 30;
  }
  if (!AllDigits(digits)) return BadSize(text, "not a number of bytes");
  uint64_t value = 0;
  if (!absl::SimpleAtoi(digits, &value) || value > std::numeric_limits<uint64_t>::max() / unit) {
    return BadSize(text, "does not fit in 64 bits");
  }
  return value * unit;
}

absl::StatusOr<uint64_t> ParseCpus(std::string_view text) {
  const size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::string fraction = point == std::string_view::npos ? "000" : absl::StrCat(text.substr(point + 1), "00").substr(0, 3);
  const bool fits = point == std::string_view::npos || (text.size() - point - 1 >= 1 && text.size() - point - 1 <= 3);
  uint64_t cpus = 0;
  uint64_t milli = 0;
  constexpr uint64_t kLeast = 10;  // kernel/sched/core.c, min_cfs_quota_period, of a period of 100 ms.
  if (!fits || !AllDigits(whole) || !AllDigits(fraction) || !absl::SimpleAtoi(whole, &cpus) || !absl::SimpleAtoi(fraction, &milli) ||
      cpus >= kMaxCpusMilli / 1000 || cpus * 1000 + milli < kLeast) {
    return absl::InvalidArgumentError(absl::StrCat("cpus \"", text, "\": write a number of CPUs from 0.01, with up to three decimals: 0.5, 2"));
  }
  return cpus * 1000 + milli;
}

absl::StatusOr<CpuSet> ParseCpuSet(std::string_view text) {
  const absl::Status bad = absl::InvalidArgumentError(
      absl::StrCat("CPUs \"", text, "\": write numbers from 0 to ", CpuSet().size() - 1, " and ranges of them, as in 0-1,3"));
  CpuSet cpus;
  for (const std::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<std::string_view, std::string_view> ends = absl::StrSplit(part, absl::MaxSplits('-', 1));
    const bool range = part.find('-') != std::string_view::npos;
    uint64_t first = 0;
    uint64_t last = 0;
    if (!AllDigits(ends.first) || !absl::SimpleAtoi(ends.first, &first) || (range && !AllDigits(ends.second)) ||
        !absl::SimpleAtoi(range ? ends.second : ends.first, &last) || first > last || last >= cpus.size()) {
      return bad;
    }
    for (uint64_t cpu = first; cpu <= last; ++cpu) cpus.set(cpu);
  }
  return cpus;
}

absl::StatusOr<std::pair<std::string, uint64_t>> ParseRlimit(std::string_view text) {
  constexpr std::string_view kNames[] = {"as", "data", "stack", "memlock", "sigpending", "msgqueue", "nice", "rtprio", "rttime"};
  const std::pair<std::string_view, std::string_view> parts = absl::StrSplit(text, absl::MaxSplits('=', 1));
  if (std::find(std::begin(kNames), std::end(kNames), parts.first) == std::end(kNames)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rlimit \"", text, "\": write NAME=VALUE, with a name of ", absl::StrJoin(kNames, ", "),
                     "; core, cpu, fsize, nofile and nproc are the limits core, cpu_time, file_size, open_files and processes"));
  }
  const absl::StatusOr<uint64_t> value = ParseSize(parts.second);
  if (!value.ok()) return absl::InvalidArgumentError(absl::StrCat("rlimit \"", text, "\": ", value.status().message()));
  return std::pair(std::string(parts.first), *value);
}

std::string CpuSetText(const CpuSet& cpus) {
  std::string text;
  for (size_t first = 0; first < cpus.size(); ++first) {
    if (!cpus.test(first)) continue;
    size_t last = first;
    while (last + 1 < cpus.size() && cpus.test(last + 1)) ++last;
    absl::StrAppend(&text, text.empty() ? "" : ",", first);
    if (last > first) absl::StrAppend(&text, "-", last);
    first = last;
  }
  return text;
}

absl::StatusOr<absl::Duration> ParseTime(std::string_view text) {
  std::string_view number = text;
  int64_t unit = kNanosecondsPerSecond;
  if (absl::ConsumeSuffix(&number, "ms")) {
    unit = kNanosecondsPerSecond / 1000;
  } else if (absl::ConsumeSuffix(&number, "s")) {
    unit = kNanosecondsPerSecond;
  } else if (absl::ConsumeSuffix(&number, "m")) {
    unit = 60 * kNanosecondsPerSecond;
  } else if (absl::ConsumeSuffix(&number, "h")) {
    unit = 3600 * kNanosecondsPerSecond;
  }
  const size_t point = number.find('.');
  const std::string_view whole = number.substr(0, point);
  const std::string_view fraction = point == std::string_view::npos ? "0" : number.substr(point + 1);
  if (!AllDigits(whole) || !AllDigits(fraction)) return BadTime(text, "not a time");
  constexpr size_t kMaxFractionDigits = 9;
  if (fraction.size() > kMaxFractionDigits) return BadTime(text, "finer than a nanosecond");

  // In integers: 0.1 s is exactly 100 ms, and a time that was written out reads back as the same time.
  int64_t value = 0;
  if (!absl::SimpleAtoi(whole, &value)) return BadTime(text, "too long");
  int64_t numerator = 0;
  int64_t denominator = 1;
  for (const char c : fraction) {
    numerator = numerator * 10 + (c - '0');
    denominator *= 10;
  }
  const absl::int128 nanoseconds = absl::int128(value) * unit + absl::int128(numerator) * unit / denominator;
  if (nanoseconds > std::numeric_limits<int64_t>::max()) return BadTime(text, "too long");
  if (nanoseconds == 0) return BadTime(text, "must be more than zero");
  return absl::Nanoseconds(static_cast<int64_t>(nanoseconds));
}

absl::StatusOr<Network> ParseNetwork(std::string_view text) {
  if (text == "none") return Network{.mode = NetworkMode::kNone, .to = {}};
  if (text == "loopback") return Network{.mode = NetworkMode::kLoopback, .to = {}};
  if (text == "host") return Network{.mode = NetworkMode::kHost, .to = {}};
  std::string_view destination = text;
  if (!absl::ConsumePrefix(&destination, "allow:")) {
    return absl::InvalidArgumentError(
        absl::StrCat("network \"", text, "\": unknown; write none, loopback, host or allow:HOST:PORT[,...]"));
  }
  Network network{.mode = NetworkMode::kAllow, .to = {}};
  for (const std::string_view one : absl::StrSplit(destination, ',')) {
    BROOD_RETURN_IF_ERROR(CheckDestination(one));
    network.to.emplace_back(one);
  }
  return network;
}

}  // namespace brood
