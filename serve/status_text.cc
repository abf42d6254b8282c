#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "serve/status.h"

namespace brood {
namespace {

double Seconds(absl::Duration time) { return absl::ToDoubleSeconds(time); }

std::string Bytes(uint64_t bytes) { return absl::StrFormat("%.1f MiB", static_cast<double>(bytes) / (1 << 20)); }

std::string Times(const Histogram& histogram) {
  if (histogram.count() == 0) return "none yet";
  std::vector<std::string> parts;
  for (const auto& [name, share] : {std::pair("half", 0.5), std::pair("90%", 0.9), std::pair("99%", 0.99)}) {
    const absl::Duration at_most = histogram.Quantile(share);
    parts.push_back(at_most == absl::InfiniteDuration() ? absl::StrCat(name, " longer than ", Histogram::kBoundsInSeconds.back(), "s")
                                                        : absl::StrCat(name, " within ", absl::FormatDuration(at_most)));
  }
  return absl::StrJoin(parts, ", ");
}

std::string JsonOf(const Histogram& histogram) {
  std::vector<std::string> buckets;
  for (size_t i = 0; i < histogram.counts.size(); ++i) {
    const bool last = i == Histogram::kBoundsInSeconds.size();
    buckets.push_back(absl::StrCat("{\"le\":", last ? "null" : absl::StrCat(Histogram::kBoundsInSeconds[i]), ",\"count\":",
                                   histogram.counts[i], "}"));
  }
  return absl::StrFormat("{\"buckets\":[%s],\"sum_s\":%.9f,\"count\":%u}", absl::StrJoin(buckets, ","), Seconds(histogram.sum),
                         histogram.count());
}

// What a client calls it.
std::string NameOf(const ServeTemplateStatus& one) { return one.path.empty() ? "(server)" : one.path; }

std::string Lines(const std::vector<ServeTemplateStatus>& templates) {
  std::string lines;
  for (const ServeTemplateStatus& one : templates) {
    absl::StrAppend(&lines, "template     ", NameOf(one), ": ");
    if (one.running) {
      absl::StrAppend(&lines, one.children, " born, ready in ", absl::FormatDuration(absl::Trunc(one.time, absl::Milliseconds(1))), ", ",
                      Bytes(one.memory_bytes), " preloaded");
    } else {
      absl::StrAppend(&lines, "not running; the next child starts it");
    }
    std::vector<std::string> preloads;
    for (const auto& [name, time, bytes] : one.preload) {
      preloads.push_back(one.running ? absl::StrCat(name, " ", absl::FormatDuration(absl::Trunc(time, absl::Milliseconds(1))), " ", Bytes(bytes)) : name);
    }
    absl::StrAppend(&lines, preloads.empty() ? "" : ": ", absl::StrJoin(preloads, ", "), "\n");
  }
  return lines;
}

// "" if there never was one to be.
std::string RotationLine(const ServeStatus& status) {
  if (status.rotations + status.rotation_failures == 0) return "";
  std::string line = absl::StrCat("rotations    ", status.rotations);
  if (status.replaced > 0) absl::StrAppend(&line, ", ", status.replaced, " replaced with children yet");
  if (status.rotation_failures > 0) absl::StrAppend(&line, ", ", status.rotation_failures, " failed");
  if (!status.rotation_failure.empty()) absl::StrAppend(&line, ", the last one: ", absl::CEscape(status.rotation_failure));
  return line + "\n";
}

// As JSON has it.
std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(&quoted, "\\", std::string(1, c));
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&quoted, "\\u%04x", c);
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string JsonOf(const ServeTemplateStatus& one) {
  std::vector<std::string> preload, preloads;
  for (const auto& [name, time, bytes] : one.preload) {
    preload.push_back(Quoted(name));
    preloads.push_back(absl::StrCat("{\"name\":", Quoted(name), absl::StrFormat(",\"time_s\":%.6f", Seconds(time)), ",\"memory_bytes\":", bytes, "}"));
  }
  return absl::StrCat("{\"path\":", Quoted(one.path), ",\"running\":", one.running ? "true" : "false", ",\"children\":", one.children,
                      absl::StrFormat(",\"start_s\":%.6f", Seconds(one.time)), ",\"memory_bytes\":", one.memory_bytes, ",\"preload\":[",
                      absl::StrJoin(preload, ","), "],\"preloads\":[", absl::StrJoin(preloads, ","), "]}");
}

// --- Prometheus ---

// A preload may be asked for twice, and a series may not.
std::string LabelsOf(std::string_view name, const ServeTemplateStatus& one, size_t place) {
  return absl::StrCat(name, "{path=", Quoted(one.path), ",preload=", Quoted(one.preload[place].name), ",place=\"", place, "\"} ");
}

void Head(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  absl::StrAppend(&out, "# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n");
}

void Number(std::string& out, std::string_view name, std::string_view type, std::string_view help, uint64_t value) {
  Head(out, name, type, help);
  absl::StrAppend(&out, name, " ", value, "\n");
}

void Times(std::string& out, std::string_view name, std::string_view help, const Histogram& histogram) {
  Head(out, name, "histogram", help);
  uint64_t so_far = 0;
  for (size_t i = 0; i < histogram.counts.size(); ++i) {
    so_far += histogram.counts[i];
    const bool last = i == Histogram::kBoundsInSeconds.size();
    absl::StrAppend(&out, name, "_bucket{le=\"", last ? "+Inf" : absl::StrCat(Histogram::kBoundsInSeconds[i]), "\"} ", so_far, "\n");
  }
  absl::StrAppendFormat(&out, "%s_sum %.9f\n%s_count %u\n", name, Seconds(histogram.sum), name, so_far);
}

}  // namespace

void Histogram::Add(absl::Duration time) {
  const auto bound = std::lower_bound(kBoundsInSeconds.begin(), kBoundsInSeconds.end(), Seconds(time));
  ++counts[static_cast<size_t>(bound - kBoundsInSeconds.begin())];
  sum += time;
}

uint64_t Histogram::count() const {
  uint64_t all = 0;
  for (const uint64_t one : counts) all += one;
  return all;
}

absl::Duration Histogram::Quantile(double share) const {
  const auto wanted = static_cast<uint64_t>(std::ceil(share * static_cast<double>(count())));
  uint64_t so_far = 0;
  for (size_t i = 0; i < kBoundsInSeconds.size(); ++i) {
    so_far += counts[i];
    if (so_far >= wanted) return wanted == 0 ? absl::ZeroDuration() : absl::Seconds(kBoundsInSeconds[i]);
  }
  return absl::InfiniteDuration();
}

std::string StatusText(const ServeStatus& status) {
  std::vector<std::string> ended;
  for (const auto& [word, count] : status.ended) ended.push_back(absl::StrCat(word, " ", count));
  return absl::StrCat(                                                                                           //
      "children     ", status.live, " live, ", status.born, " born, ", status.refused, " connections refused\n",  //
      "ended        ", ended.empty() ? "none yet" : absl::StrJoin(ended, ", "), "\n",                             //
      "start        ", Times(status.start), "\n",                                                                 //
      "run          ", Times(status.run), "\n",                                                                   //
      "connections  ", status.connections, ", of which ", status.waiting, " have asked for nothing yet\n",        //
      "forkserver   ", status.servers, " preloaded, ", status.keepers, " keepers\n",                              //
      "memory       ", Bytes(status.serve_bytes), " server, ", Bytes(status.forkserver_bytes), " forkserver\n",   //
      Lines(status.templates), RotationLine(status),                                                              //
      "up           ", absl::FormatDuration(absl::Trunc(status.uptime, absl::Seconds(1))), ", ", status.version, "\n");
}

std::string StatusJson(const ServeStatus& status) {
  std::vector<std::string> ended;
  for (const auto& [word, count] : status.ended) ended.push_back(absl::StrCat("\"", word, "\":", count));
  std::vector<std::string> templates;
  for (const ServeTemplateStatus& one : status.templates) templates.push_back(JsonOf(one));
  return absl::StrCat("{\"v\":1,\"version\":\"", status.version, "\",", absl::StrFormat("\"uptime_s\":%.3f", Seconds(status.uptime)),
                      ",\"connections\":", status.connections, ",\"waiting\":", status.waiting, ",\"live\":", status.live,
                      ",\"born\":", status.born, ",\"refused\":", status.refused, ",\"ended\":{", absl::StrJoin(ended, ","),
                      "},\"start\":", JsonOf(status.start), ",\"run\":", JsonOf(status.run), ",\"serve_bytes\":", status.serve_bytes,
                      ",\"forkserver_bytes\":", status.forkserver_bytes, ",\"servers\":", status.servers,
                      ",\"keepers\":", status.keepers, ",\"templates\":[", absl::StrJoin(templates, ","),
                      "],\"rotations\":", status.rotations, ",\"rotation_failures\":", status.rotation_failures, ",\"rotation_failure\":",
                      status.rotation_failure.empty() ? "null" : Quoted(status.rotation_failure), ",\"replaced\":", status.replaced, "}\n");
}

std::string StatusPrometheus(const ServeStatus& status) {
  std::string out;
  Head(out, "brood_serve_info", "gauge", "The version of the server.");
  absl::StrAppend(&out, "brood_serve_info{version=\"", status.version, "\"} 1\n");
  Head(out, "brood_serve_uptime_seconds", "gauge", "Since the server listens.");
  absl::StrAppendFormat(&out, "brood_serve_uptime_seconds %.3f\n", Seconds(status.uptime));
  Number(out, "brood_serve_connections", "gauge", "Connections that are open.", status.connections);
  Number(out, "brood_serve_connections_waiting", "gauge", "Of those, which have asked for nothing yet.", status.waiting);
  Number(out, "brood_serve_refused_total", "counter", "Connections that got nothing.", status.refused);
  Number(out, "brood_serve_children_live", "gauge", "Children that live.", status.live);
  Number(out, "brood_serve_children_born_total", "counter", "Children that were started.", status.born);
  Head(out, "brood_serve_children_ended_total", "counter", "Children that have ended, by how.");
  for (const auto& [word, count] : status.ended) {
    absl::StrAppend(&out, "brood_serve_children_ended_total{status=\"", word, "\"} ", count, "\n");
  }
  Times(out, "brood_serve_start_seconds", "From the request until the target ran.", status.start);
  Times(out, "brood_serve_run_seconds", "From the request until the end.", status.run);
  Number(out, "brood_serve_resident_bytes", "gauge", "Resident memory of the server.", status.serve_bytes);
  Number(out, "brood_serve_forkserver_resident_bytes", "gauge", "Resident memory of the forkserver's processes.", status.forkserver_bytes);
  Number(out, "brood_serve_forkserver_servers", "gauge", "Processes that have preloaded.", status.servers);
  Number(out, "brood_serve_forkserver_keepers", "gauge", "Processes that have one child at a time.", status.keepers);
  Number(out, "brood_serve_rotations_total", "counter", "How often the forkserver and its templates were replaced.", status.rotations);
  Number(out, "brood_serve_rotation_failures_total", "counter", "How often that failed, and the old ones went on.", status.rotation_failures);
  Number(out, "brood_serve_forkservers_replaced", "gauge", "Forkservers and templates that have been replaced, and have children yet.", status.replaced);
  Head(out, "brood_serve_template_children_total", "counter", "Children that a template was asked for.");
  for (const ServeTemplateStatus& one : status.templates) {
    absl::StrAppend(&out, "brood_serve_template_children_total{path=", Quoted(one.path), "} ", one.children, "\n");
  }
  Head(out, "brood_serve_preload_seconds", "gauge", "What a preload took.");
  for (const ServeTemplateStatus& one : status.templates) {
    for (size_t i = 0; i < one.preload.size(); ++i) {
      absl::StrAppend(&out, LabelsOf("brood_serve_preload_seconds", one, i), Seconds(one.preload[i].time), "\n");
    }
  }
  Head(out, "brood_serve_preload_bytes", "gauge", "What a preload has left in memory.");
  for (const ServeTemplateStatus& one : status.templates) {
    for (size_t i = 0; i < one.preload.size(); ++i) {
      absl::StrAppend(&out, LabelsOf("brood_serve_preload_bytes", one, i), one.preload[i].memory_bytes, "\n");
    }
  }
  Head(out, "brood_serve_template_running", "gauge", "1 if it has preloaded and lives.");
  for (const ServeTemplateStatus& one : status.templates) {
    absl::StrAppend(&out, "brood_serve_template_running{path=", Quoted(one.path), "} ", one.running ? 1 : 0, "\n");
  }
  return out;
}

}  // namespace brood
