#include "sandbox/ceiling.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "sandbox/ceiling_syscalls.h"
#include "sandbox/made_files.h"

namespace brood {
namespace {

constexpr uint64_t kDefaultTmpfs = uint64_t{64} << 20;

absl::Status More(std::string_view field, std::string_view asked) {
  return absl::PermissionDeniedError(absl::StrCat("policy: ", field, ": ", asked, ", which is more than the server allows"));
}

// The child is what the server is, so that nothing can be more.
bool IsUnconfined(const Policy& policy) {
  return policy.namespaces.empty() && !policy.drop_privileges && !policy.filter_syscalls && policy.label.empty();
}

absl::Status CheckIdsOf(const Policy& ceiling, const Policy& asked) {
  if (asked.ids.count > ceiling.ids.count) return More("ids.count", absl::StrCat(asked.ids.count));
  // Whoever keeps the capabilities of its namespace keeps them as id 0 alone, once it runs a program. capabilities(7)
  const bool keeps = !asked.drop_privileges || !asked.capabilities.empty();
  if (keeps && asked.ids.uid != ceiling.ids.uid) return More("ids.uid", absl::StrCat(asked.ids.uid));
  if (keeps && asked.ids.gid != ceiling.ids.gid) return More("ids.gid", absl::StrCat(asked.ids.gid));
  for (const uint32_t group : asked.groups) {
    if (std::find(ceiling.groups.begin(), ceiling.groups.end(), group) == ceiling.groups.end()) return More("groups", absl::StrCat(group));
  }
  for (const std::string& name : asked.capabilities) {
    const bool has = std::find(ceiling.capabilities.begin(), ceiling.capabilities.end(), name) != ceiling.capabilities.end();
    if (!has) return More("capabilities", name);
  }
  return absl::OkStatus();
}

absl::Status CheckLayers(const Policy& ceiling, const Policy& asked) {
  for (const Layer layer : ceiling.namespaces) {
    if (!asked.namespaces.contains(layer)) return More("namespaces", absl::StrCat("without \"", LayerName(layer), "\""));
  }
  for (const Layer layer : asked.namespaces) {
    if (ceiling.namespaces.contains(layer) || IsUnconfined(ceiling)) continue;
    // With ids of its own, files that belong to the server are lent to the child as its own; with a root of its own it is
    // shown what the server can read.
    if (layer == Layer::kUser || layer == Layer::kMount || !asked.drop_privileges) {
      return More("namespaces", absl::StrCat("with \"", LayerName(layer), "\""));
    }
  }
  if (ceiling.drop_privileges && !asked.drop_privileges) return More("drop_privileges", "false");
  if (!IsUnconfined(ceiling)) BROOD_RETURN_IF_ERROR(CheckIdsOf(ceiling, asked));
  // What is required is available, or nothing is started.
  if (ceiling.landlock != LandlockUse::kNone && asked.landlock < ceiling.landlock) {
    return More("landlock", asked.landlock == LandlockUse::kNone ? "none" : "available");
  }
  // Who asks for `kernel` may have asked for nothing, and gets what the ceiling has; nobody asks for `allow` unawares.
  if (asked.speculation == SpeculationControl::kAllow && ceiling.speculation != SpeculationControl::kAllow) return More("speculation", "allow");
  if (asked.minimal_system && !ceiling.minimal_system && !IsUnconfined(ceiling)) return More("minimal_system", "true");
  if (asked.proc == ProcAccess::kReadWrite && ceiling.proc != ProcAccess::kReadWrite && !IsUnconfined(ceiling)) return More("proc", "rw");
  for (const Layer layer : asked.allow_weaker) {
    if (!ceiling.allow_weaker.contains(layer)) return More("allow_weaker", absl::StrCat("\"", LayerName(layer), "\""));
  }
  return absl::OkStatus();
}

// --- filters that somebody else has made, and attributes of processes ---

// What the ceiling has is added. Another one lets nothing through, but it can answer by an error, or by nothing at all, what the
// ceiling's own filter would make a violation of.
absl::Status TightenBpfFiles(const Policy& ceiling, Policy& asked) {
  const auto has = [](const Policy& policy, const BpfFile& file) {
    return std::any_of(policy.bpf_files.begin(), policy.bpf_files.end(), [&](const BpfFile& other) { return other.program == file.program; });
  };
  for (const BpfFile& file : asked.bpf_files) {
    if (ceiling.filter_syscalls && !has(ceiling, file)) return More("bpf_files", absl::StrCat(file.path, " beside the server's filter"));
  }
  for (const BpfFile& file : ceiling.bpf_files) {
    if (!has(asked, file)) asked.bpf_files.push_back(file);
  }
  return absl::OkStatus();
}

// A higher value is less. Without one in the ceiling the server's own, which is seen nowhere here, is the least: the kernel knows.
absl::Status TightenNumber(std::string_view field, std::optional<int> ProcessAttributes::*number, const Policy& ceiling, Policy& asked) {
  const std::optional<int>& least = ceiling.process.*number;
  std::optional<int>& own = asked.process.*number;
  if (own.has_value() && *own < least.value_or(IsUnconfined(ceiling) ? *own : 0)) return More(absl::StrCat("process.", field), absl::StrCat(*own));
  if (!own.has_value()) own = least;
  return absl::OkStatus();
}

absl::Status TightenProcess(const Policy& ceiling, Policy& asked) {
  // Taken apart, so that a new one does not compile until it is compared.
  const auto& [nice, oom_score_adj, umask, personality, disable_tsc, deny_write_execute] = ceiling.process;
  (void)std::tie(nice, oom_score_adj);
  ProcessAttributes& own = asked.process;
  BROOD_RETURN_IF_ERROR(TightenNumber("nice", &ProcessAttributes::nice, ceiling, asked));
  BROOD_RETURN_IF_ERROR(TightenNumber("oom_score_adj", &ProcessAttributes::oom_score_adj, ceiling, asked));
  if (umask && own.umask && (*umask & ~*own.umask) != 0) return More("process.umask", absl::StrFormat("%04o", *own.umask));
  if (!own.umask) own.umask = umask;
  for (const std::string& flag : own.personality) {
    if (!IsUnconfined(ceiling) && !personality.contains(flag)) return More("process.personality", flag);
  }
  own.disable_tsc = own.disable_tsc || disable_tsc;
  own.deny_write_execute = own.deny_write_execute || deny_write_execute;
  return absl::OkStatus();
}

// Which of two labels allows less nobody here knows: the ceiling's, or none.
absl::Status TightenLabel(const Policy& ceiling, Policy& asked) {
  if (!asked.label.empty() && asked.label != ceiling.label && !IsUnconfined(ceiling)) return More("label", asked.label);
  if (!ceiling.label.empty()) asked.label = ceiling.label;
  return absl::OkStatus();
}

// --- files ---

using Places = std::map<std::string, const FileRule*>;  // By destination; the last rule for one counts.

Places PlacesOf(const Policy& policy) {
  Places places;
  for (const FileRule& rule : policy.files) places[rule.destination] = &rule;
  return places;
}

bool IsBelow(std::string_view path, std::string_view folder) {
  if (folder == "/") return path != "/";
  return path.size() > folder.size() && absl::StartsWith(path, folder) && path[folder.size()] == '/';
}

bool IsWritable(const FileRule& rule) { return rule.access == FileRule::Access::kReadWrite; }
bool IsDevice(const FileRule& rule) { return rule.access == FileRule::Access::kDevice; }

// Whether the place of some rule may be behind a link that the rules make: what is mounted there hides something elsewhere.
bool GoesThroughLinks(const Places& places) {
  return std::any_of(places.begin(), places.end(), [&](const auto& link) {
    return link.second->kind == FileRule::Kind::kSymlink &&
           std::any_of(places.begin(), places.end(), [&](const auto& place) { return IsBelow(place.first, link.first); });
  });
}

// Whether a link of this machine, in what `rule` shows, is on the way to `place`: what is mounted there is elsewhere, then, and may
// hide something that another rule shows.
bool GoesThroughHostLink(const FileRule& rule, std::string_view place) {
  std::error_code error;
  if (!ShowsHost(rule) || !IsBelow(place, rule.destination)) return false;
  std::filesystem::path at = rule.source;
  if (rule.optional && std::filesystem::is_symlink(at, error)) return true;  // It is a link inside, too.
  for (const std::string_view part : absl::StrSplit(place.substr(rule.destination.size()), '/', absl::SkipEmpty())) {
    at /= part;
    if (std::filesystem::is_symlink(at, error)) return true;
  }
  return false;
}

// What is at the place of a rule that was left out: what the nearest one above it shows there, which must not be more.
absl::Status CheckLeftOut(const FileRule& left_out, const Places& asked) {
  const FileRule* above = nullptr;
  for (const auto& [destination, rule] : asked) {
    if (!IsBelow(left_out.destination, destination)) continue;
    if (above == nullptr || destination.size() > above->destination.size()) above = rule;
  }
  const bool empty = above == nullptr || above->kind == FileRule::Kind::kTmpfs || above->kind == FileRule::Kind::kDirectory;
  if (empty) return absl::OkStatus();
  const std::string_view rest = std::string_view(left_out.destination).substr(above->destination == "/" ? 0 : above->destination.size());
  const std::string shown = absl::StrCat(above->source == "/" ? "" : above->source, rest);
  const bool same = left_out.kind == FileRule::Kind::kBind && left_out.source == shown && (!IsWritable(*above) || IsWritable(left_out)) &&
                    (!IsDevice(*above) || IsDevice(left_out)) && (above->no_exec || !left_out.no_exec) && above->layers.empty();
  return same ? absl::OkStatus() : More("files", absl::StrCat("without the rule for ", left_out.destination, " inside of ", above->destination));
}

absl::Status CheckFiles(const Policy& ceiling, const Policy& asked) {
  if (IsUnconfined(ceiling) || !ceiling.namespaces.contains(Layer::kMount)) return absl::OkStatus();
  const Places allowed = PlacesOf(ceiling);
  const Places wanted = PlacesOf(asked);
  for (const auto& [destination, rule] : wanted) {
    const auto found = allowed.find(destination);
    const bool tmpfs = rule->kind == FileRule::Kind::kTmpfs;
    const bool in_memory = rule->kind != FileRule::Kind::kBind;
    const bool made = IsMade(*rule);
    // A link where the ceiling has another, or none, may lead to where something is that another mount hides.
    const bool same = found != allowed.end() && found->second->kind == rule->kind && found->second->source == rule->source &&
                      found->second->layers == rule->layers && found->second->text == rule->text;
    if (!same) {
      return More("files", tmpfs  ? absl::StrCat("tmpfs ", destination)
                           : made ? absl::StrCat(destination, ", made")
                                 : absl::StrCat(in_memory ? "an overlay of " : "", rule->source, " at ", destination));
    }
    if (rule->changes != found->second->changes) return More("files", absl::StrCat("changes of ", destination, " in ", rule->changes.empty() ? "memory" : rule->changes));
    if (IsWritable(*rule) && !IsWritable(*found->second)) return More("files", absl::StrCat(destination, " to write"));
    if (IsDevice(*rule) && !IsDevice(*found->second)) return More("files", absl::StrCat(destination, " as a device"));
    if (found->second->no_exec && !rule->no_exec) return More("files", absl::StrCat(destination, " to execute"));
    if (rule->mode != found->second->mode) return More("files", absl::StrCat(destination, " of another mode"));
    const auto size = [](const FileRule& one) { return one.size_bytes > 0 ? one.size_bytes : kDefaultTmpfs; };
    if (in_memory && size(*rule) > size(*found->second)) return More("files", absl::StrCat(destination, " of ", size(*rule), " bytes"));
  }
  for (const auto& [destination, rule] : allowed) {
    if (wanted.contains(destination)) continue;
    if (rule->kind == FileRule::Kind::kSymlink && GoesThroughLinks(allowed)) return More("files", absl::StrCat("without the link ", destination));
    for (const auto& [place, hiding] : allowed) {
      if (GoesThroughHostLink(*rule, place)) return More("files", absl::StrCat("without ", destination, ", in which a link leads to ", place));
    }
    BROOD_RETURN_IF_ERROR(CheckLeftOut(*rule, wanted));
  }
  return absl::OkStatus();
}

// --- network ---

bool IsWithin(const Network& asked, const Network& ceiling) {
  switch (ceiling.mode) {
    case NetworkMode::kHost:
      return true;
    case NetworkMode::kLoopback:
      return asked.mode == NetworkMode::kNone || asked.mode == NetworkMode::kLoopback;
    case NetworkMode::kNone:
      return asked.mode == NetworkMode::kNone;
    case NetworkMode::kAllow:
      return asked.mode == NetworkMode::kNone ||
             (asked.mode == NetworkMode::kAllow && std::all_of(asked.to.begin(), asked.to.end(), [&](const std::string& to) {
                return std::find(ceiling.to.begin(), ceiling.to.end(), to) != ceiling.to.end();
              }));
  }
  return false;
}

constexpr std::string_view kModes[] = {"none", "loopback", "host", "allow"};

// --- limits ---

std::string TextOf(uint64_t number) { return absl::StrCat(number); }
std::string TextOf(absl::Duration time) { return absl::FormatDuration(time); }

// One that is asked for and higher is refused; one that nobody asked for becomes the ceiling's.
template <typename T>
absl::Status TightenLimit(std::string_view field, std::optional<T> Limits::*limit, const Policy& ceiling, Policy& asked) {
  const std::optional<T>& required = ceiling.limits.*limit;
  const std::optional<T>& by_default = ceiling.default_limits.*limit;
  const std::optional<T>& most = required.has_value() ? required : by_default;
  if (!most.has_value()) return absl::OkStatus();
  std::optional<T>& own = asked.limits.*limit;
  std::optional<T>& own_default = asked.default_limits.*limit;
  if (own.has_value()) return *own <= *most ? absl::OkStatus() : More(absl::StrCat("limits.", field), TextOf(*own));
  const T lower = own_default.has_value() ? std::min(*own_default, *most) : *most;
  (required.has_value() ? own : own_default) = lower;
  return absl::OkStatus();
}

// Of sets, the one inside of the other is lower.
absl::Status TightenCpuSet(const Policy& ceiling, Policy& asked) {
  const bool required = ceiling.limits.cpu_set.has_value();
  const std::optional<CpuSet>& most = required ? ceiling.limits.cpu_set : ceiling.default_limits.cpu_set;
  if (!most.has_value()) return absl::OkStatus();
  std::optional<CpuSet>& own = asked.limits.cpu_set;
  std::optional<CpuSet>& own_default = asked.default_limits.cpu_set;
  if (own.has_value()) return (*own & ~*most).none() ? absl::OkStatus() : More("limits.cpu_set", CpuSetText(*own));
  const CpuSet both = own_default.has_value() ? *own_default & *most : *most;
  (required ? own : own_default) = both.any() ? both : *most;
  return absl::OkStatus();
}

absl::Status TightenRlimits(const Policy& ceiling, Policy& asked) {
  for (const auto& [name, most] : ceiling.default_limits.rlimits) {
    if (ceiling.limits.rlimits.contains(name)) continue;
    const auto own = asked.limits.rlimits.find(name);
    if (own != asked.limits.rlimits.end() && own->second > most) return More(absl::StrCat("limits.rlimits: ", name), TextOf(own->second));
    uint64_t& value = asked.default_limits.rlimits.try_emplace(name, most).first->second;
    value = std::min(value, most);
  }
  for (const auto& [name, most] : ceiling.limits.rlimits) {
    const uint64_t value = asked.limits.rlimits.try_emplace(name, most).first->second;
    if (value > most) return More(absl::StrCat("limits.rlimits: ", name), TextOf(value));
  }
  return absl::OkStatus();
}

absl::Status TightenLimits(const Policy& ceiling, Policy& asked) {
  // Taken apart, so that a new limit does not compile until it is compared.
  const auto& [memory, processes, cpu_time, wall_time, output, file_size, open_files, core, cpus, cpu_weight, io_weight, disk, io_rate, cpu_set, rlimits, grace] = asked.limits;
  (void)std::tie(memory, processes, cpu_time, wall_time, output, file_size, open_files, core, cpus, cpu_weight, io_weight, disk, io_rate, cpu_set, rlimits, grace);
  BROOD_RETURN_IF_ERROR(TightenLimit("memory", &Limits::memory_bytes, ceiling, asked));
  BROOD_RETURN_IF_ERROR(TightenLimit("processes", &Limits::processes, ceiling, asked));
  BROOD_RETURN_IF_ERROR(TightenLimit("cpu_time", &Limits::cpu_time, ceiling, asked));
  BROOD_RETURN_IF_ERROR(TightenLimit("wall_time", &Limits::wall_time, ceiling, asked));
  // Together with the wall time: who asks for less of that may have time to end in.
  const auto all_time = [](const Policy& policy) {
    const auto of = [&](std::optional<absl::Duration> Limits::*limit, absl::Duration none) {
      return (policy.limits.*limit).value_or((policy.default_limits.*limit).value_or(none));
    };
    return of(&Limits::wall_time, absl::InfiniteDuration()) + of(&Limits::grace, absl::ZeroDuration());
  };
  if (all_time(asked) > all_time(ceiling)) {
    return More("limits.grace", TextOf(asked.limits.grace.value_or(asked.default_limits.grace.value_or(absl::ZeroDuration()))));
  }
  BROOD_RETURN_IF_ERROR(TightenLimit("output", &Limits::output_bytes, ceiling, asked));
  BROOD_RETURN_IF_ERROR(TightenLimit("file_size", &Limits::file_size_bytes, ceiling, asked));
  BROOD_RETURN_IF_ERROR(TightenLimit("open_files", &Limits::open_files, ceiling, asked));
  BROOD_RETURN_IF_ERROR(TightenLimit("cpus", &Limits::cpus_milli, ceiling, asked));
  BROOD_RETURN_IF_ERROR(TightenCpuSet(ceiling, asked));
  BROOD_RETURN_IF_ERROR(TightenRlimits(ceiling, asked));
  BROOD_RETURN_IF_ERROR(TightenLimit("cpu_weight", &Limits::cpu_weight, ceiling, asked));
  BROOD_RETURN_IF_ERROR(TightenLimit("io_weight", &Limits::io_weight, ceiling, asked));
  BROOD_RETURN_IF_ERROR(TightenLimit("disk", &Limits::disk_bytes, ceiling, asked));
  BROOD_RETURN_IF_ERROR(TightenLimit("io_rate", &Limits::io_rate_bytes, ceiling, asked));
  return TightenLimit("core", &Limits::core_bytes, ceiling, asked);
}

}  // namespace

absl::StatusOr<Policy> Tighten(const Policy& ceiling, const Policy& asked) {
  Policy policy = asked;
  // Taken apart, so that a new field does not compile until it is compared. The name is for people; the environment, the
  // host name and where clocks begin give no right to anything.
  const auto& [name, namespaces, ids, capabilities, groups, drop_privileges, landlock, speculation, read_back, files, minimal_system, proc, network, clocks, filter_syscalls, syscalls, unlisted,
               unlisted_errno, bpf_files, process, label, environment, hostname, limits, default_limits, allow_weaker] = policy;
  (void)std::tie(name, namespaces, ids, capabilities, groups, drop_privileges, landlock, speculation, read_back, files, minimal_system, proc, clocks, filter_syscalls, syscalls, unlisted,
                 unlisted_errno, bpf_files, process, label, environment, hostname, limits, default_limits, allow_weaker);
  BROOD_RETURN_IF_ERROR(CheckLayers(ceiling, policy));
  BROOD_RETURN_IF_ERROR(CheckFiles(ceiling, policy));
  if (!IsWithin(network, ceiling.network)) return More("network", kModes[static_cast<int>(network.mode)]);
  BROOD_RETURN_IF_ERROR(internal::CheckSyscalls(ceiling, policy));
  BROOD_RETURN_IF_ERROR(TightenBpfFiles(ceiling, policy));
  BROOD_RETURN_IF_ERROR(TightenProcess(ceiling, policy));
  BROOD_RETURN_IF_ERROR(TightenLabel(ceiling, policy));
  BROOD_RETURN_IF_ERROR(TightenLimits(ceiling, policy));
  policy.speculation = std::max(speculation, ceiling.speculation);
  // Whoever does not ask for the look at what was set up gets it all the same, where there is a /proc to look in.
  policy.read_back = read_back || (ceiling.read_back && minimal_system);
  return policy;
}

}  // namespace brood
