#include "batch/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <set>

#include "gtest/gtest.h"

namespace brood {
namespace {

TEST(FilesTest, FileNameOfIsNeverAPath) {
  EXPECT_EQ(FileNameOf("a-1_b.gz"), "a-1_b.gz");
  EXPECT_EQ(FileNameOf("../../etc"), "%2e.%2f..%2fetc");
  EXPECT_EQ(FileNameOf("."), "%2e");
  EXPECT_EQ(FileNameOf("a%2fb"), "a%252fb");
}

TEST(FilesTest, LongIdsStayDistinctFileNames) {
  std::set<std::string> names;
  for (const char* tail : {"a", "b", "/"}) names.insert(FileNameOf(std::string(1000, 'x') + tail));
  EXPECT_EQ(names.size(), 3u);
  for (const std::string& name : names) EXPECT_LE(name.size(), 255u);
}

TEST(FilesTest, ASubdirectoryIsNeverReachedThroughASymbolicLink) {
  const std::string root = testing::TempDir() + "/files_test.d/deep";
  const UniqueFd directory = OpenOrMakeDirectory(root).value();
  EXPECT_TRUE(OpenOrMakeSubdirectory(directory.get(), "plain").ok());
  ASSERT_EQ(symlinkat("/tmp", directory.get(), "link"), 0);
  EXPECT_FALSE(OpenOrMakeSubdirectory(directory.get(), "link").ok());
  unlinkat(directory.get(), "link", 0);
}

TEST(FilesTest, ReadFileIsBounded) {
  EXPECT_EQ(ReadFile("/proc/self/exe", 100'000).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadFile("/dev/null", 1).value(), "");
  EXPECT_EQ(ReadFile("/nowhere", 1).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace brood
