// Names: lookup, create, remove, rename, directories; and the power switch.
#include "fuse_ops.h"

#include <linux/fs.h>
#include <sys/statvfs.h>

#include <cstring>
#include <string>
#include <vector>

namespace dropfs {

void Server::Crash(uint64_t seed, int keep_percent) {
  crashed = volume->Crash(seed, keep_percent);
  countdown = 0;
  crash_happened.notify_all();
}

bool Server::Powered(bool changing) {
  if (volume->frozen()) return false;
  if (!changing) return true;
  ++changes;
  if (countdown > 0 && --countdown == 0) {
    Crash(armed_seed, armed_percent);
    return false;
  }
  return true;
}

Server& ServerOf(fuse_req_t request) { return *static_cast<Server*>(fuse_req_userdata(request)); }

struct stat StatOf(NodeId id, const Node& node) {
  struct stat st {};
  st.st_ino = id;
  st.st_mode = node.mode;
  st.st_nlink = node.linked ? (S_ISDIR(node.mode) ? 2 : 1) : 0;
  st.st_uid = node.uid;
  st.st_gid = node.gid;
  st.st_size = node.image != nullptr ? node.image->size() : 4096;
  st.st_blocks = (st.st_size + 511) / 512;
  st.st_blksize = 4096;
  st.st_atim = st.st_mtim = st.st_ctim = node.mtime;
  return st;
}

namespace {

fuse_entry_param EntryOf(NodeId id, Node& node) {
  ++node.lookups;
  fuse_entry_param entry{};
  entry.ino = id;
  entry.attr = StatOf(id, node);
  entry.attr_timeout = entry.entry_timeout = kForever;
  return entry;
}

int ReplyEntry(fuse_req_t request, Volume& volume, NodeId id) {
  const fuse_entry_param entry = EntryOf(id, *volume.Get(id));
  fuse_reply_entry(request, &entry);
  return 0;
}

void Lookup(fuse_req_t request, fuse_ino_t dir, const char* name) {
  Serve(request, false, [&](Volume& volume) {
    const NodeId id = volume.tree().Find(dir, name);
    return id == 0 ? ENOENT : ReplyEntry(request, volume, id);
  });
}

void ForgetOne(Volume& volume, fuse_ino_t id, uint64_t count) {
  Node* node = volume.Get(id);
  if (node == nullptr || volume.frozen()) return;
  node->lookups -= std::min(node->lookups, count);
  volume.Collect(id);
}

void Forget(fuse_req_t request, fuse_ino_t id, uint64_t count) {
  {
    Volume& volume = *ServerOf(request).volume;
    std::lock_guard lock(volume.mutex());
    ForgetOne(volume, id, count);
  }
  fuse_reply_none(request);
}

void ForgetMulti(fuse_req_t request, size_t count, fuse_forget_data* forgets) {
  {
    Volume& volume = *ServerOf(request).volume;
    std::lock_guard lock(volume.mutex());
    for (size_t i = 0; i < count; ++i) ForgetOne(volume, forgets[i].ino, forgets[i].nlookup);
  }
  fuse_reply_none(request);
}

void GetAttr(fuse_req_t request, fuse_ino_t id, fuse_file_info*) {
  Serve(request, false, [&](Volume& volume) {
    const Node* node = volume.Get(id);
    if (node == nullptr) return ENOENT;
    const struct stat st = StatOf(id, *node);
    fuse_reply_attr(request, &st, kForever);
    return 0;
  });
}

int Make(fuse_req_t request, Volume& volume, fuse_ino_t dir, const char* name, mode_t mode,
         NodeId* id) {
  const fuse_ctx* caller = fuse_req_ctx(request);
  return volume.Create(dir, name, mode, caller->uid, caller->gid, id);
}

void Mkdir(fuse_req_t request, fuse_ino_t dir, const char* name, mode_t mode) {
  Serve(request, true, [&](Volume& volume) {
    NodeId id = 0;
    if (int error = Make(request, volume, dir, name, S_IFDIR | mode, &id)) return error;
    return ReplyEntry(request, volume, id);
  });
}

void Mknod(fuse_req_t request, fuse_ino_t dir, const char* name, mode_t mode, dev_t) {
  Serve(request, true, [&](Volume& volume) {
    if (!S_ISREG(mode)) return EPERM;
    NodeId id = 0;
    if (int error = Make(request, volume, dir, name, mode, &id)) return error;
    return ReplyEntry(request, volume, id);
  });
}

void Create(fuse_req_t request, fuse_ino_t dir, const char* name, mode_t mode,
            fuse_file_info* file) {
  Serve(request, true, [&](Volume& volume) {
    NodeId id = 0;
    if (int error = Make(request, volume, dir, name, S_IFREG | (mode & 07777), &id)) return error;
    Node& node = *volume.Get(id);
    ++node.opens;
    file->keep_cache = 1;
    const fuse_entry_param entry = EntryOf(id, node);
    fuse_reply_create(request, &entry, file);
    return 0;
  });
}

void ReplyOk(fuse_req_t request) { fuse_reply_err(request, 0); }

void Unlink(fuse_req_t request, fuse_ino_t dir, const char* name) {
  Serve(request, true, [&](Volume& volume) {
    if (int error = volume.Unlink(dir, name)) return error;
    ReplyOk(request);
    return 0;
  });
}

void Rmdir(fuse_req_t request, fuse_ino_t dir, const char* name) {
  Serve(request, true, [&](Volume& volume) {
    if (int error = volume.Rmdir(dir, name)) return error;
    ReplyOk(request);
    return 0;
  });
}

void Rename(fuse_req_t request, fuse_ino_t dir, const char* name, fuse_ino_t new_dir,
            const char* new_name, unsigned flags) {
  Serve(request, true, [&](Volume& volume) {
    if ((flags & ~unsigned{RENAME_NOREPLACE}) != 0) return EINVAL;
    if (int error = volume.Rename(dir, name, new_dir, new_name, flags != 0)) return error;
    ReplyOk(request);
    return 0;
  });
}

void ReadDir(fuse_req_t request, fuse_ino_t id, size_t size, off_t offset, fuse_file_info*) {
  Serve(request, false, [&](Volume& volume) {
    if (!volume.tree().IsDir(id)) return ENOTDIR;
    std::vector<char> out(size);
    size_t used = 0;
    off_t position = 0;
    for (const auto& [name, child] : volume.tree().List(id)) {
      if (++position <= offset) continue;
      const struct stat st = StatOf(child, *volume.Get(child));
      const size_t n =
          fuse_add_direntry(request, out.data() + used, size - used, name.c_str(), &st, position);
      if (n > size - used) break;
      used += n;
    }
    fuse_reply_buf(request, out.data(), used);
    return 0;
  });
}

void FsyncDir(fuse_req_t request, fuse_ino_t id, int, fuse_file_info*) {
  Serve(request, true, [&](Volume& volume) {
    if (int error = volume.SyncDir(id)) return error;
    ReplyOk(request);
    return 0;
  });
}

void StatFs(fuse_req_t request, fuse_ino_t) {
  Serve(request, false, [&](Volume& volume) {
    constexpr int64_t kUnlimited = int64_t{1} << 40;
    const int64_t limit = volume.limit() != 0 ? volume.limit() : kUnlimited;
    struct statvfs st {};
    st.f_bsize = st.f_frsize = 4096;
    st.f_blocks = static_cast<fsblkcnt_t>(limit / 4096);
    st.f_bfree = st.f_bavail =
        static_cast<fsblkcnt_t>(std::max<int64_t>(0, limit - volume.used()) / 4096);
    st.f_files = st.f_ffree = 1 << 20;
    st.f_namemax = 255;
    fuse_reply_statfs(request, &st);
    return 0;
  });
}

}  // namespace

const fuse_lowlevel_ops& Operations() {
  static const fuse_lowlevel_ops ops = [] {
    fuse_lowlevel_ops o{};
    o.lookup = Lookup;
    o.forget = Forget;
    o.forget_multi = ForgetMulti;
    o.getattr = GetAttr;
    o.setattr = SetAttr;
    o.mkdir = Mkdir;
    o.mknod = Mknod;
    o.create = Create;
    o.unlink = Unlink;
    o.rmdir = Rmdir;
    o.rename = Rename;
    o.open = Open;
    o.release = Release;
    o.read = Read;
    o.write = Write;
    o.flush = Flush;
    o.fsync = Fsync;
    o.fallocate = Fallocate;
    o.readdir = ReadDir;
    o.fsyncdir = FsyncDir;
    o.statfs = StatFs;
    return o;
  }();
  return ops;
}

}  // namespace dropfs
