#include "forkserver/smaps.h"

#include <sys/mman.h>
#include <unistd.h>

#include <memory_resource>

#include "gtest/gtest.h"

namespace brood::internal {
namespace {

constexpr char kText[] =
    "7f52e6e00000-7f52e6e04000 rw-p 00003000 00:01 38                         /memfd:a b (deleted)\n"
    "Size:                 16 kB\n"
    "KernelPageSize:        4 kB\n"
    "Rss:                  12 kB\n"
    "Anonymous:             8 kB\n"
    "ShmemPmdMapped:        0 kB\n"
    "Swap:                  4 kB\n"
    "THPeligible:           0\n"
    "ProtectionKey:         3\n"
    "VmFlags: rd wr mr mw me ac sd \n"
    "ffffffffff600000-ffffffffff601000 --xs 00000000 00:00 0\n"
    "Rss:                   0 kB\n"
    "VmFlags: ex sh\n";

TEST(SmapsTest, TellsWhatTheKernelHasWritten) {
  const auto mappings = ParseSmaps(kText, std::pmr::new_delete_resource());
  ASSERT_TRUE(mappings.ok()) << mappings.status();
  ASSERT_EQ(mappings->size(), 2u);
  const Mapping& first = mappings->at(0);
  EXPECT_EQ(first.start, 0x7f52e6e00000u);
  EXPECT_EQ(first.size(), 0x4000u);
  EXPECT_EQ(first.offset, 0x3000u);
  EXPECT_TRUE(first.readable && first.writable && !first.executable && !first.shared);
  EXPECT_EQ(first.name, "/memfd:a b (deleted)");
  EXPECT_EQ(first.file, "00:01 38");
  EXPECT_TRUE(first.has_file());
  EXPECT_EQ(first.rss_bytes, 12u << 10);
  EXPECT_EQ(first.anonymous_bytes, 8u << 10);
  EXPECT_EQ(first.swap_bytes, 4u << 10);
  EXPECT_EQ(first.protection_key, 3);
  EXPECT_TRUE(first.Has("rd") && first.Has("sd"));
  EXPECT_FALSE(first.Has("sh") || first.Has("d "));
  const Mapping& second = mappings->at(1);
  EXPECT_EQ(second.end, 0xffffffffff601000u);
  EXPECT_TRUE(second.executable && second.shared && !second.readable);
  EXPECT_TRUE(second.Has("sh"));
  EXPECT_EQ(second.file, "00:00 0");
  EXPECT_EQ(second.name, "");
  EXPECT_FALSE(second.has_file());
}

TEST(SmapsTest, RefusesWhatIsNoSmaps) {
  for (const char* text : {"hello\n", "Rss: 4 kB\n", "1000-2000 rw-p\n", "1000-2000 rw-p 0 0:0 0\n",
                           "1000-2000 rw-p 0 00:00 0\nRss: many kB\nVmFlags: rd\n"}) {
    EXPECT_EQ(ParseSmaps(text, std::pmr::new_delete_resource()).status().code(), absl::StatusCode::kDataLoss) << text;
  }
}

TEST(SmapsTest, ReadsAndParsesInTheMemoryItIsGiven) {
  static char buffer[1 << 20];
  static char more[1 << 20];
  const auto text = ReadSmaps(buffer, sizeof(buffer));
  ASSERT_TRUE(text.ok()) << text.status();
  std::pmr::monotonic_buffer_resource memory(more, sizeof(more), std::pmr::null_memory_resource());
  const auto mappings = ParseSmaps(*text, &memory);
  ASSERT_TRUE(mappings.ok()) << mappings.status();
  bool stack = false, own = false;
  for (const Mapping& mapping : *mappings) {
    const auto address = reinterpret_cast<uintptr_t>(&buffer);
    stack |= mapping.name == "[stack]" && mapping.Has("gd");
    own |= mapping.start <= address && address < mapping.end && mapping.writable;
  }
  EXPECT_TRUE(stack);
  EXPECT_TRUE(own);
  EXPECT_EQ(ReadSmaps(buffer, 100).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace brood::internal
