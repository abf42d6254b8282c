#include "cli/demo_report.h"

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"

namespace brood {
namespace {

constexpr size_t kNamedDifferences = 10;  // The JSON form has all of them.

std::string StreamDifference(std::string_view name, const JobStream& sandboxed, const JobStream& plain) {
  for (const JobStream* stream : {&sandboxed, &plain}) {
    if (stream->content.size() != stream->bytes)
      return absl::StrCat(name, " was not kept whole, and can't be compared");
  }
  if (sandboxed.content == plain.content) return "";
  const size_t shorter = std::min(sandboxed.content.size(), plain.content.size());
  size_t at = 0;
  while (at < shorter && sandboxed.content[at] == plain.content[at]) ++at;
  return absl::StrFormat("%s differs at byte %u (%u and %u bytes)", name, at, sandboxed.content.size(),
                         plain.content.size());
}

double PerSecond(size_t jobs, absl::Duration time) {
  return static_cast<double>(jobs) / std::max(absl::ToDoubleSeconds(time), 1e-9);
}

}  // namespace

size_t DemoReport::different() const {
  return static_cast<size_t>(
      std::count_if(honest.begin(), honest.end(), [](const HonestVerdict& v) { return !v.difference.empty(); }));
}

size_t DemoReport::not_stopped() const {
  return static_cast<size_t>(
      std::count_if(hostile.begin(), hostile.end(), [](const HostileVerdict& v) { return !v.problem.empty(); }));
}

std::string Difference(const JobEnd& sandboxed, const JobEnd& plain) {
  if (sandboxed.outcome.ending.index() != plain.outcome.ending.index() ||
      sandboxed.outcome.exit_code() != plain.outcome.exit_code()) {
    return absl::StrCat("sandboxed: ", sandboxed.outcome.ToString(), "; without: ", plain.outcome.ToString());
  }
  // A job that brood could not run either way has not been compared at all.
  if (!std::holds_alternative<Exited>(plain.outcome.ending)) return plain.outcome.ToString();
  std::string difference = StreamDifference("stdout", sandboxed.stdout_stream, plain.stdout_stream);
  return difference.empty() ? StreamDifference("stderr", sandboxed.stderr_stream, plain.stderr_stream) : difference;
}

void PrintReport(const DemoReport& report, Colour colour, FILE* out) {
  const char* good = colour == Colour::kOn ? "\033[32m" : "";
  const char* bad = colour == Colour::kOn ? "\033[31m" : "";
  const char* off = colour == Colour::kOn ? "\033[0m" : "";

  absl::FPrintF(out, "honest jobs, each in a strict sandbox of its own\n");
  for (const HonestKind& kind : report.kinds) absl::FPrintF(out, "  %5u  %s\n", kind.jobs, kind.name);
  for (const std::string& note : report.notes) absl::FPrintF(out, "      -  %s\n", note);
  absl::FPrintF(out, "\nhostile jobs among them\n");
  for (const HostileVerdict& verdict : report.hostile) {
    const bool stopped = verdict.problem.empty();
    absl::FPrintF(out, "  %s%-7s%s  %-27s  %-9s  %s\n", stopped ? good : bad, stopped ? "stopped" : "FAILED", off,
                  verdict.what, verdict.status, verdict.stopped_by);
    if (!stopped) absl::FPrintF(out, "           %s%s%s\n", bad, verdict.problem, off);
  }
  absl::FPrintF(out, "\nenforced\n");
  for (const auto& [layer, by] : report.enforced) absl::FPrintF(out, "  %-14s  %s\n", layer, by);

  const size_t all = report.honest.size() + report.hostile.size();
  absl::FPrintF(out,
                "\n%u jobs in %.1f s: %.0f a second, %d at a time\n"
                "(the honest ones without a sandbox: %.0f a second)\n",
                all, absl::ToDoubleSeconds(report.sandboxed_time), PerSecond(all, report.sandboxed_time),
                report.parallel, PerSecond(report.honest.size(), report.plain_time));
  uint64_t bytes = 0;
  size_t named = 0;
  size_t zero = 0;
  for (const HonestVerdict& verdict : report.honest) {
    bytes += verdict.bytes;
    if (verdict.exit_code == 0) ++zero;
    if (!verdict.difference.empty() && ++named <= kNamedDifferences)
      absl::FPrintF(out, "%sdifferent%s  %s: %s\n", bad, off, verdict.id, verdict.difference);
  }
  absl::FPrintF(out,
                "%u of %u honest jobs gave the same stdout, stderr and exit code as without a sandbox\n"
                "(%u bytes compared; %u exited with 0)\n",
                report.honest.size() - report.different(), report.honest.size(), bytes, zero);
  absl::FPrintF(out, "%u of %u hostile jobs were stopped with the right outcome\n",
                report.hostile.size() - report.not_stopped(), report.hostile.size());
  absl::FPrintF(out, "%s%s%s\n", report.passed() ? good : bad, report.passed() ? "passed" : "FAILED", off);
  fflush(out);
}

absl::Status WriteReportJson(const DemoReport& report, const std::string& path) {
  using nlohmann::json;
  json honest = json::array();
  for (const HonestVerdict& verdict : report.honest) {
    honest.push_back({{"id", verdict.id},
                      {"identical", verdict.difference.empty()},
                      {"exit_code", verdict.exit_code},
                      {"bytes", verdict.bytes}});
    if (!verdict.difference.empty()) honest.back()["difference"] = verdict.difference;
  }
  json hostile = json::array();
  for (const HostileVerdict& verdict : report.hostile) {
    hostile.push_back({{"what", verdict.what},
                       {"stopped", verdict.problem.empty()},
                       {"stopped_by", verdict.stopped_by},
                       {"status", verdict.status},
                       {"result", json::parse(verdict.result, nullptr, /*allow_exceptions=*/false)}});
    if (!verdict.problem.empty()) hostile.back()["problem"] = verdict.problem;
  }
  const size_t all = report.honest.size() + report.hostile.size();
  const json whole = {{"v", 1},
                      {"passed", report.passed()},
                      {"jobs", all},
                      {"parallel", report.parallel},
                      {"seconds", absl::ToDoubleSeconds(report.sandboxed_time)},
                      {"per_second", PerSecond(all, report.sandboxed_time)},
                      {"plain_per_second", PerSecond(report.honest.size(), report.plain_time)},
                      {"notes", report.notes},
                      {"honest", honest},
                      {"hostile", hostile}};
  // A name of this machine need not be UTF-8.
  const std::string text = whole.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
  FILE* file = fopen(path.c_str(), "we");
  if (file == nullptr) return ErrnoStatus(errno, "open", path);
  const bool written = fwrite(text.data(), 1, text.size(), file) == text.size();
  if (fclose(file) != 0 || !written) return ErrnoStatus(errno, "write", path);
  return absl::OkStatus();
}

}  // namespace brood
