#include "batch/json_table.h"

// A field of the schema is called `errno`; the C library has a macro of that name, which this file does not need.
#undef errno
#include "serialization/policy_generated.h"

namespace brood {

flatbuffers::Offset<fbs::Limits> WriteJsonLimits(TableReader& in) {
  const auto memory = in.TextOrNumber("memory");
  const auto processes = in.Count("processes");
  const auto cpu_time = in.TextOrNumber("cpu_time");
  const auto wall_time = in.TextOrNumber("wall_time");
  const auto output = in.TextOrNumber("output");
  const auto file_size = in.TextOrNumber("file_size");
  const auto open_files = in.Count("open_files");
  const auto core = in.TextOrNumber("core");
  const auto cpus = in.TextOrNumber("cpus");
  const auto cpu_weight = in.Count("cpu_weight");
  const auto io_weight = in.Count("io_weight");
  const auto io_rate = in.TextOrNumber("io_rate");
  const auto disk = in.TextOrNumber("disk");
  const auto cpu_set = in.TextOrNumber("cpu_set");
  const auto rlimits = in.Texts("rlimits");
  const auto grace = in.TextOrNumber("grace");
  return fbs::CreateLimits(in.builder(), memory, processes, cpu_time, wall_time, output, file_size, open_files, core, cpus, cpu_weight,
                           io_weight, io_rate, disk, cpu_set, rlimits, grace);
}

}  // namespace brood
