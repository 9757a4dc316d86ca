# bevor-test: timeout=300 tier=full user=root
# npm: 200 packages with 20,000 small files installed from local folders.
export npm_config_install_links=true HOME=$PWD npm_config_cache=$PWD/cache npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false
python3 - <<'P'
import json, os
deps = {}
for p in range(200):
    name = f"pkg{p}"
    os.makedirs(f"tree/{name}/lib/a/b")
    for f in range(98):
        with open(f"tree/{name}/lib/{'a/b/' if f % 3 else ''}m{f}.js", "w") as out: out.write(f"module.exports = {p} + {f};\n")
    with open(f"tree/{name}/package.json", "w") as out:
        json.dump({"name": name, "version": f"1.0.{p}", "main": "lib/m0.js", "dependencies": {f"pkg{p + 1}": f"file:../pkg{p + 1}"} if p % 50 == 0 else {}}, out)
    with open(f"tree/{name}/README", "w") as out: out.write(name)
    deps[name] = f"file:../tree/{name}"
os.mkdir("app")
json.dump({"name": "app", "version": "1.0.0", "dependencies": deps}, open("app/package.json", "w"))
P
cd app; npm install --no-progress > log 2>&1; echo npm $?
find node_modules -type f | grep -v package-lock | wc -l; ls node_modules | wc -l
node -e 'let s = 0; for (let i = 0; i < 200; i++) s += require("pkg" + i); console.log(s, require("pkg7/lib/a/b/m95.js"))'
npm ls 2>/dev/null | wc -l; npm uninstall pkg3 > /dev/null 2>&1; ls node_modules | wc -l; rm -rf node_modules; npm ci > /dev/null 2>&1; echo ci $?; find node_modules -type f | wc -l
