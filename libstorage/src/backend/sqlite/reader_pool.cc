#include "src/backend/sqlite/reader_pool.h"

#include <utility>

#include "src/backend/sqlite/schema.h"

namespace storage::sqlite {
namespace {

// Idle connections that are kept, each with up to 2 MB of page cache.
constexpr size_t kMaxIdle = 8;

#define OBJECT "SELECT key, create_rev, mod_rev, expire_ms, attrs, value FROM objects "
#define UNDONE "SELECT key, prev_create, prev_mod, prev_expire_ms, prev_attrs, prev FROM events "
// Lives of keys that were over after ?3 and had begun by then.
#define GONE \
  "FROM events INDEXED BY events_gone WHERE kind >= 3 AND prev_create <= ?3 AND rev > ?3 "

}  // namespace

void RangeStatement::Bind(Query* query, const Range& range) {
  query->BindBlob(1, range.start);
  if (!range.end.empty()) query->BindBlob(2, range.end);
}

Reader::Reader(std::unique_ptr<Connection> c)
    : connection(std::move(c)),
      keep(connection.get(), kSelectLane),
      lane(connection.get(), kSelectLane),
      get(connection.get(), OBJECT "WHERE key = ?1"),
      kinds(connection.get(), "SELECT collection, objects, bytes FROM kinds ORDER BY collection"),
      object_at_event(connection.get(),
                      "SELECT value FROM objects WHERE create_rev = ?1 AND mod_rev = ?2"),
      next_event(connection.get(),
                 "SELECT prev FROM events INDEXED BY events_next WHERE prev_mod = ?1"),
      older(connection.get(), "SELECT prev_mod FROM events WHERE rev = ?1"),
      undone(connection.get(), UNDONE "WHERE rev = ?1"),
      gone(connection.get(), "SELECT rev " GONE "AND key = ?1"),
      token(connection.get(),
            "SELECT 1 FROM events WHERE token = ?1 AND rev > ?2 ORDER BY rev DESC LIMIT 1"),
      expired(connection.get(),
              "SELECT key, create_rev, mod_rev, expire_ms FROM objects INDEXED BY objects_expiry "
              "WHERE expire_ms <= ?1 ORDER BY expire_ms, create_rev"),
      next_expiry(connection.get(),
                  "SELECT expire_ms FROM objects INDEXED BY objects_expiry "
                  "WHERE expire_ms IS NOT NULL ORDER BY expire_ms LIMIT 1"),
      first_event(connection.get(),
                  "SELECT seq, seq_bytes, length(prev) FROM events ORDER BY rev LIMIT 1"),
      last_event(connection.get(), "SELECT seq, seq_bytes FROM events ORDER BY rev DESC LIMIT 1"),
      last_debt(connection.get(),
                "SELECT seq FROM events WHERE rev <= ?1 ORDER BY rev DESC LIMIT 1"),
      free_pages(connection.get(), "PRAGMA freelist_count"),
      list(connection.get(), OBJECT "INDEXED BY objects_key WHERE key >= ?1", " ORDER BY key"),
      list_old(connection.get(), OBJECT "INDEXED BY objects_key WHERE key >= ?1",
               " AND create_rev <= ?3 ORDER BY key"),
      list_gone(connection.get(), "SELECT key, rev " GONE "AND key >= ?1", " ORDER BY key"),
      count(connection.get(), "SELECT count(*) FROM objects INDEXED BY objects_key WHERE key >= ?1",
            ""),
      count_old(connection.get(),
                "SELECT count(*) FROM objects INDEXED BY objects_key WHERE create_rev <= ?3 "
                "AND key >= ?1",
                ""),
      count_gone(connection.get(), "SELECT count(*) " GONE "AND key >= ?1", ""),
      events(connection.get(),
             "SELECT rev, kind, prev_mod, prev_create, prev_expire_ms, key, prev FROM events "
             "WHERE rev > ?3 AND rev <= ?4 AND key >= ?1",
             " ORDER BY rev") {}

#undef OBJECT
#undef UNDONE
#undef GONE

absl::StatusOr<std::unique_ptr<Reader>> ReaderPool::OpenReader() const {
  const auto mode = read_only_ ? Connection::Mode::kReadOnly : Connection::Mode::kReadWrite;
  auto connection = Connection::Open(site_, mode, settings_.busy_ms);
  if (!connection.ok()) return connection.status();
  absl::Status set = SetReaderPragmas(connection->get(), settings_);
  if (!set.ok()) return set;
  return std::make_unique<Reader>(*std::move(connection));
}

absl::StatusOr<ReaderPool::Lease> ReaderPool::Acquire() {
  std::unique_ptr<Reader> reader;
  {
    MutexLock lock(&mutex_);
    if (!idle_.empty()) {
      reader = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (reader != nullptr) {
    Refresh(reader.get());
    return Lease(this, std::move(reader));
  }
  auto opened = OpenReader();
  if (!opened.ok()) return opened.status();
  return Lease(this, *std::move(opened));
}

// The version is read before the transaction begins: one that began in version v,
// or later, is the latest as long as the version is v.
void ReaderPool::Refresh(Reader* reader) const {
  const uint64_t version = version_.load(std::memory_order_acquire);
  const bool again = reader->version == version && version % 2 == 0;
  if (!again) reader->kept.reset();
  reader->version = version;
  // Another process may write a file that is only inspected here.
  if (!again || reader->kept.has_value() || read_only_) return;
  reader->kept.emplace(&reader->keep);
  if (!reader->kept->Step()) reader->kept.reset();  // the lease's own statement says why
}

void ReaderPool::Release(std::unique_ptr<Reader> reader) {
  MutexLock lock(&mutex_);
  if (reader->version != version_.load(std::memory_order_acquire)) reader->kept.reset();
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(reader));
}

void ReaderPool::BeginChange() {
  version_.fetch_add(1, std::memory_order_acq_rel);
  MutexLock lock(&mutex_);
  for (const std::unique_ptr<Reader>& reader : idle_) reader->kept.reset();
}

void ReaderPool::EndChange() { version_.fetch_add(1, std::memory_order_acq_rel); }

int ReaderPool::KeptForTest() const {
  MutexLock lock(&mutex_);
  int kept = 0;
  for (const std::unique_ptr<Reader>& reader : idle_) kept += reader->kept.has_value() ? 1 : 0;
  return kept;
}

}  // namespace storage::sqlite
