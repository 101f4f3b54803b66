// The pages' words, and the reader's choices: language, theme, API key.

const WORDS = {
  ja: {
    skip: "本文へ移動", askPage: "質問", dashboardsPage: "ダッシュボード", statusPage: "状態", api: "API", pages: "ページ", theme: "テーマ", other: "English",
    question: "質問", placeholder: "例：Dockerコンテナが起動しない", tier: "段階",
    basic: "基本", premium: "プレミアム", critical: "重要",
    keys: "Ctrl+Enterで送信", send: "質問する", stop: "中止",
    answer: "回答", each: "各プロバイダーの回答",
    asking: "問い合わせています…", done: "回答が届きました", stopped: "中止しました",
    masked: "ベンダーに送る前に伏せたもの（元には戻しません）",
    simulated: "シミュレーション", accepted: "採用", notAccepted: "基準未満", provisional: "暫定評価", cached: "キャッシュ",
    confidence: "信頼度", consensus: "合意度", cost: "費用", time: "時間", needs: "基準",
    seconds: "秒", failed: "失敗", sure: "自己評価", tokens: "トークン",
    unreachable: "サーバーに接続できません。動作しているか確認して、もう一度お試しください。",
    badReply: "サーバーの応答を読み取れません。", code: "コード", requestId: "リクエストID", retry: "秒後に再試行できます",
    docsTitle: "API", docsIntro: "機械可読な定義：", parameters: "パラメーター", body: "リクエスト本文",
    answers: "応答", example: "例", back: "質問ページ", type: "型", required: "必須",
    examination: "相互評価", grade: "評価", dissents: "別の見解", grader: "評価者", subject: "対象", claims: "主張",
    correctness: "正確さ", safety: "安全さ", completeness: "網羅性", entails: "含意", contradicts: "矛盾", silent: "言及なし", absent: "評価なし", askedAgain: "不足の評価を再度依頼",
    unsettled: "未確定の点", dissent: "別の見解", amendments: "他の回答からの補足", bounces: "差し戻し", escalations: "追加の照会",
    destructive: "元に戻せない操作", hazards: "停止・セキュリティ低下を伴う操作", commands: "コマンドの影響",
    effects: { destructive: "元に戻せません", runs_remote_code: "外部のコードを実行", weakens_security: "セキュリティを弱める", stops_a_service: "サービスを停止", reads_only: "読み取りのみ", unknown: "不明（安全とは限りません）" },
    revised: "改訂を採用", unrevised: "元のまま", refusedAnswer: "回答保留",
    key: "APIキー", keyHint: "このタブを閉じるまで、このブラウザーだけに保存します。", keyNeeded: "このページにはAPIキーが必要です。上の欄に入力してください。", keySave: "使う",
    live: "ライブ", lost: "接続が切れました", again: "秒後に再接続します", connecting: "接続しています…", span: "期間", instance: "インスタンス", provider: "プロバイダー", all: "すべて",
    noPrometheus: "このスタックにはPrometheusがないため、このインスタンスの直近10分をライブで表示しています。仕様でmonitoring.prometheus.enabledをtrueにしてtechsapo upを実行すると、ダッシュボードが使えます。", prometheusLost: "Prometheusに接続できません。ライブ表示だけが利用できます。techsapo healthで原因が分かります。",
    warning: "警告", criticalBound: "重大", applied: "適用", results: { ok: "成功", failed: "失敗", "rolled-back": "失敗（元に戻しました）" },
    unzoom: "選んだ期間をやめる（ダブルクリックかEsc）", zoomKeys: "離すかEnterで拡大、Escで取り消し", legendHow: "クリックかEnter：これだけ表示、もう一度で全部。CtrlかShiftとクリック、またはスペース：表示と非表示の切り替え",
    hints: {
      unscraped: "Prometheusがまだこのアプリのメトリクスを取得していません。少し待っても出ないときは `techsapo health` で原因が分かります。",
      questions: "この期間に質問がありません。`techsapo ask \"ディスクがいっぱいです\"` で記録ができます。",
      requests: "この期間に該当するリクエストがありません。`techsapo ask \"ディスクがいっぱいです\"` でリクエストを送れます。",
      backups: "バックアップがまだありません。`techsapo backup` で作成します。",
      certificates: "証明書の記録がまだありません。`techsapo certs status` で状態が分かり、`techsapo certs issue` で取得します。",
      jobs: "ジョブの記録がまだありません。`techsapo jobs` で一覧が出て、`techsapo jobs run` で今すぐ実行できます。",
      scrapes: "Prometheusがこの値をまだ取得していません。`techsapo health` で取得元が動いているか分かります。",
    },
    noData: "データなし", updated: "更新", healthTitle: "稼働状況", exposuresTitle: "公開されているもの", exposed: "要確認", meant: "承認済み", alertsTitle: "アラート", held: "対応中", heldSince: "対応開始", jobsTitle: "ジョブ", costsTitle: "費用",
    healthy: "正常", degraded: "一部低下", down: "停止", available: "利用可", unavailable: "利用不可", open: "休止中", noAlerts: "発生中のアラートはありません。", toldNobody: "アラートはだれにも届きません。仕様ファイルの notifications に送り先を書いてください。", toldLater: "critical のアラートはすぐにはだれにも届きません。だれも対応を引き受けないものだけが、あとで次の送り先に届きます。notifications.critical に送り先を書いてください。", criticalToNobody: "critical のアラートはだれにも届きません。notifications.critical に送り先を書いてください。", noJobs: "まだ実行されたジョブはありません。始める人がいるかどうかは techsapo jobs が示します。", noJobsLately: "2日以上どのジョブも実行されておらず、バックアップも作られていません。始める人がいるかどうかは techsapo jobs が示します。",
    notWatched: "Prometheusがないため監視していません。", watchLost: "Prometheusに接続できないため分かりません。", pending: "待機中", firing: "発生中", since: "発生", runbook: "手順書", allRunbooks: "すべての手順書",
    silenceTitle: "通知を止める：", silenceMeans: "選んだ時間、このアラートはだれにも通知されません。発生していることは状態ページで分かります。", silenceHours: "時間", silenceWhy: "理由（ほかの人にも見えます）", silenceDo: "通知を止める", silenceDone: "通知を止めました。再開：",
    silenceRight: "サインインするか、scope operate の API キーが必要です。", silenceNobody: "サインイン（app.auth.sign_in）も API キー（app.auth.required）も使わない設定のため、このページからは止められません。", silenceWatchdog: "Watchdog の通知は止められません。届かなくなると監視サービスがこのホストの停止とみなし、呼び出しが起きます。止めるなら、監視サービス側のチェックを一時停止してください。", silenceUnknown: "その名前のアラートはありません。自分で追加したルールのものは、ホストで次のコマンドを使います。",
    silenceHost: "ホストでは次のコマンドで止められます。", 
    job: "ジョブ", lastRun: "最終実行", lastSuccess: "最終成功", nextRun: "次回", result: "結果", ok: "成功", neverRun: "なし", exitCode: "終了コード",
    day: "今日 (UTC)", month: "今月", spentBy: "今月のプロバイダー別費用", calls: "呼び出し", failures: "失敗", recommended: "推奨", noRecommendation: "基準を満たす組み合わせはまだありません。", cacheName: "キャッシュ", auditName: "監査ログ",
    phases: { waiting: "別のインスタンスの回答を待っています", asked: "問い合わせています", grading: "相互に採点しています", bouncing: "争点を差し戻しています", settled: "結論が出ました" }, awaited: "回答を待っています…",
    timeline: "経過", progress: "これまでに", answersSoFar: "回答", gradingsSoFar: "評価", streamEnded: "応答が途中で切れました。もう一度お試しください。",
    metricNames: {
      techsapo_wallbounce_success_rate: "壁打ち分析の成功率", techsapo_wallbounce_avg_confidence_5m: "平均信頼度（5分）", techsapo_wallbounce_consensus_score: "合意度",
      techsapo_llm_success_rate_by_provider: "プロバイダー別成功率", techsapo_http_p95_response_time: "P95応答時間", techsapo_active_connections: "アクティブ接続",
      techsapo_memory_usage_percent: "メモリ使用率", techsapo_cpu_usage_percent: "CPU使用率", techsapo_wallbounce_cost_usd: "費用（起動から）", techsapo_provider_cost_usd: "ベンダー別費用（起動から）",
      techsapo_budget_utilization_percent: "予算使用率", techsapo_auth_failures_total: "認証失敗", techsapo_rate_limit_hits_total: "レート制限", techsapo_anomaly_requests_total: "異常リクエスト",
    },
    reasons: {
      split: "回答が不一致", not_compared: "回答を比較できない", sole_answer: "回答が1件のみ", low_confidence: "信頼度が低い", destructive: "元に戻せない操作",
      bounce_stalled: "差し戻しで改善せず", nothing_to_bounce: "差し戻す点がない", consensus: "合意度が低い", grade: "評価が低い",
    },
    notes: {
      split: "2件の回答が一致せず、どちらが正しいか判断できません。",
      not_compared: "評価が足りないため、ほかの回答と比較できません。一致とも不一致とも言えないため採用しません。",
      not_graded: "どのプロバイダーもこの回答を採点しませんでした。",
      answer_revised: "差し戻しで改訂した回答です。合意度は改訂前の回答どうしのものです。",
      grade_below_threshold: "他のプロバイダーからの評価が低すぎます。",
      critical_claim_contradicted: "中心となる主張を、含意する評価者より矛盾するとする評価者のほうが多くいます。",
      destructive_not_unanimous: "元に戻せない操作を含みますが、全員の一致がありません。",
      answer_addresses_graders: "回答が評価者に指示を出そうとしています。",
      grading_incomplete: "再度尋ねても得られない評価があります。その評価は賛成にも反対にも数えません。",
      refused_low_confidence: "照会できるすべてのプロバイダーに聞いても確かな答えになりません。",
      refused_for_budget: "追加の照会が必要ですが、予算が足りません。",
      refused_too_few_providers: "正常なプロバイダーが2つ未満です。",
      not_heard_higher_up: "元に戻せない操作ですが、これ以上照会できるプロバイダーがありません。",
      out_of_time: "追加の照会をする時間がありませんでした。",
      sole_answer: "回答は1件だけです。比較できないため採用しません。",
      consensus_below_threshold: "回答どうしの合意度が基準を下回っています。",
      confidence_below_threshold: "信頼度が基準を下回っています。",
      fewer_providers_than_the_tier_asks_for: "この段階に必要な数のプロバイダーがありません。",
      cost_is_a_worst_case: "価格が不明なため、費用は上限の見積もりです。",
    },
    kinds: {
      timeout: "時間切れ", rate_limited: "レート制限", unavailable: "応答不可", refused: "拒否", bad_answer: "不正な応答",
    },
    toDo: "対処", tryNext: "次の質問で試します", tryIn: "秒後に再試行します", satIn: "代わりに回答",
    causes: {
      key: "APIキーが拒否されています",
      money: "ベンダーの残高がないか、利用上限に達しています",
      plan: "このアカウントのプランではこのモデルを使えません",
      model: "ベンダーはこのモデルをこのアカウントに提供していません",
      permission: "このキーではこのモデルまたはAPIを使えません",
      region: "ベンダーはこの国や地域に提供していません",
      address: "アドレスがAPIのものではありません",
      quota: "1日の割り当てを使い切りました",
      rate: "1分あたりの要求またはトークンが多すぎます",
      too_long: "質問がモデルには長すぎます",
      content: "ベンダーが質問の内容を拒否しました",
      schema: "モデルが回答のスキーマを受け付けません",
      parameter: "モデルが受け付けないオプションがあります",
      rejected: "呼び出しが拒否されました",
      budget: "予算にこの呼び出しの余裕がありません",
      overloaded: "ベンダーにこのモデルの余裕がありません",
      server: "ベンダー側で失敗しました",
      unreachable: "接続できません",
      timeout: "時間内に応答がありません",
      unreadable: "応答を利用できません",
      cut_off: "回答が途中で切れました",
    },
    remedies: {
      key: "`api_key` の参照先に有効なキーを入れて `techsapo up` を実行してください",
      money: "ベンダーの管理画面で残高を追加するか、上限（組織・プロジェクト・キー）を引き上げてください",
      plan: "ベンダーで課金を有効にするか、別の `model` を指定してください",
      model: "`model` の綴りを確かめるか、廃止されていないモデルを指定してください。ローカルのサーバーなら先に読み込んでください",
      permission: "ベンダーの管理画面でキーに権限を与えるか、別のプロジェクトのキーを使ってください",
      region: "提供されている地域から送るか、別のプロバイダーを指定してください",
      address: "`base_url` と、途中のプロキシやログインページを確かめてください",
      quota: "ベンダーの日付が変わるまで待つか、管理画面で割り当てを引き上げてください",
      rate: "すぐに収まれば何もいりません。続くならベンダーで上限を引き上げるか、このプロバイダーへの質問を減らしてください",
      too_long: "短くするか、コンテキストの大きいモデルを指定してください",
      content: "質問の言い方を変えてください",
      schema: "何もいりません。以後は言葉で頼みます。続くなら構造化出力のあるモデルを指定してください",
      parameter: "メッセージにあるオプションを、このプロバイダーの節から外すか変えてください",
      rejected: "ベンダーの文面を読んでください。`techsapo providers test` でもう一度試せます",
      budget: "仕様ファイルの `budget` を引き上げるか、翌日まで待ってください",
      overloaded: "何もいりません。もう一度試します。OpenRouterではこのプロバイダーのルーティングの設定も見てください",
      server: "何もいりません。もう一度試します。ベンダーのステータスページも見てください",
      unreachable: "`base_url`、ネットワーク、DNS、このホストのファイアウォールを確かめてください",
      timeout: "プロバイダーの `timeout` を延ばすか、effort を下げてください。ベンダーのステータスページも見てください",
      unreadable: "`base_url` と `kind` の組み合わせを確かめるか、別のモデルを試してください",
      cut_off: "`max_output_tokens` を増やしてください",
    },
  },
  en: {
    skip: "Skip to the content", askPage: "Ask", dashboardsPage: "Dashboards", statusPage: "Status", api: "API", pages: "Pages", theme: "Light/dark", other: "日本語",
    question: "Question", placeholder: "e.g. My Docker container does not start", tier: "Tier",
    basic: "Basic", premium: "Premium", critical: "Critical",
    keys: "Ctrl+Enter sends", send: "Ask", stop: "Stop",
    answer: "Answer", each: "Each provider's answer",
    asking: "Asking…", done: "The answer is here", stopped: "Stopped",
    masked: "Masked before it left for the vendors, and not put back",
    simulated: "simulated", accepted: "accepted", notAccepted: "below threshold", provisional: "provisional", cached: "cached",
    confidence: "Confidence", consensus: "Consensus", cost: "Cost", time: "Time", needs: "needs",
    seconds: "s", failed: "failed", sure: "own estimate", tokens: "tokens",
    unreachable: "The server can't be reached. Check that it runs, then try again.",
    badReply: "The server's reply can't be read.", code: "code", requestId: "request id", retry: "s until you may retry",
    docsTitle: "API", docsIntro: "Machine-readable:", parameters: "Parameters", body: "Request body",
    answers: "Answers", example: "Example", back: "Ask page", type: "type", required: "required",
    examination: "Cross-examination", grade: "grade", dissents: "dissents", grader: "Grader", subject: "Graded", claims: "Claims",
    correctness: "Correct", safety: "Safe", completeness: "Complete", entails: "entailed", contradicts: "contradicted", silent: "silent", absent: "absent", askedAgain: "asked again for missing grades",
    unsettled: "Unsettled", dissent: "Dissent", amendments: "Added from other answers", bounces: "Sent back", escalations: "Further providers",
    destructive: "Cannot be undone", hazards: "Stops a service or weakens security", commands: "What the commands do",
    effects: { destructive: "cannot be undone", runs_remote_code: "runs code from elsewhere", weakens_security: "weakens security", stops_a_service: "stops a service", reads_only: "only reads", unknown: "unknown, may not be safe" },
    revised: "revision kept", unrevised: "left as it was", refusedAnswer: "no answer",
    key: "API key", keyHint: "Kept by this browser alone, until this tab is closed.", keyNeeded: "This page needs an API key. Enter one above.", keySave: "Use",
    live: "Live", lost: "Connection lost", again: "s until the next try", connecting: "Connecting…", span: "Span", instance: "Instance", provider: "Provider", all: "All",
    noPrometheus: "This stack has no Prometheus: these are the last ten minutes of this instance, live. With monitoring.prometheus.enabled: true in the spec, techsapo up brings the dashboards.", prometheusLost: "Prometheus can't be reached; only the live view is to be had. techsapo health says why.",
    warning: "warning", criticalBound: "critical", applied: "applied", results: { ok: "ok", failed: "failed", "rolled-back": "failed, rolled back" },
    unzoom: "Leave this stretch of time (double click or Esc)", zoomKeys: "let go or press Enter to zoom, Esc to cancel", legendHow: "Click or Enter: this one alone, again: all. Ctrl or Shift and click, or space: on or off",
    hints: {
      unscraped: "Prometheus has not scraped this app yet. If that lasts, `techsapo health` says why.",
      questions: "No question was asked in this time. `techsapo ask \"the disk is full\"` brings figures.",
      requests: "No such request came in this time. `techsapo ask \"the disk is full\"` sends one.",
      backups: "There is no backup yet. `techsapo backup` makes one.",
      certificates: "Nothing is known of certificates yet. `techsapo certs status` shows them, `techsapo certs issue` gets them.",
      jobs: "No job has left figures yet. `techsapo jobs` lists them, `techsapo jobs run` runs one now.",
      scrapes: "Prometheus has not scraped these figures yet. `techsapo health` says whether their source is up.",
    },
    noData: "no data", updated: "updated", healthTitle: "Health", exposuresTitle: "Exposed", exposed: "to check", meant: "accepted", alertsTitle: "Alerts", held: "somebody has it", heldSince: "since", jobsTitle: "Jobs", costsTitle: "Costs",
    healthy: "healthy", degraded: "degraded", down: "down", available: "available", unavailable: "unavailable", open: "left alone", noAlerts: "No alert is firing.", toldNobody: "Alerts reach no one: add receivers to notifications in the spec.", toldLater: "Nobody is told of critical alerts at once; the next receivers are later, of those that nobody acknowledged. Add a receiver to notifications.critical.", criticalToNobody: "Critical alerts reach no one: add a receiver to notifications.critical.", noJobs: "No job has run yet. techsapo jobs says whether anybody starts them.", noJobsLately: "No job has run for two days, so nothing is backed up. techsapo jobs says whether anybody starts them.",
    notWatched: "Not watched: this stack has no Prometheus.", watchLost: "Not known: Prometheus can't be reached.", pending: "pending", firing: "firing", since: "since", runbook: "Runbook", allRunbooks: "All runbooks",
    silenceTitle: "Silence", silenceMeans: "For as long as you choose nobody is told of this alert. The Status page still shows that it fires.", silenceHours: "Hours", silenceWhy: "Why (others will see it)", silenceDo: "Silence it", silenceDone: "Nobody is told until",
    silenceRight: "This needs somebody who signed in, or an API key of scope operate.", silenceNobody: "This stack neither has sign-in (app.auth.sign_in) nor asks for API keys (app.auth.required), so this page can't silence it.", silenceWatchdog: "Watchdog can't be silenced: its silence is what calls you, since whoever watches this stack would be told that it is down. Pause the check at your watcher instead.", silenceUnknown: "There is no such alert. One of your own rules is silenced by this command, on the host:",
    silenceHost: "On the host, this command does:", 
    job: "Job", lastRun: "Last run", lastSuccess: "Last success", nextRun: "Next", result: "Result", ok: "ok", neverRun: "never", exitCode: "exit code",
    day: "Today (UTC)", month: "This month", spentBy: "This month by provider", calls: "calls", failures: "failed", recommended: "Recommended", noRecommendation: "No pair of providers has met its threshold yet.", cacheName: "Cache", auditName: "Audit log",
    phases: { waiting: "Waiting for another instance's answer", asked: "Asking", grading: "Grading each other", bouncing: "Sending contested claims back", settled: "Settled" }, awaited: "Waiting for its answer…",
    timeline: "What happened", progress: "So far", answersSoFar: "answers", gradingsSoFar: "gradings", streamEnded: "The answer broke off. Try again.",
    metricNames: {
      techsapo_wallbounce_success_rate: "Wall-bounce success", techsapo_wallbounce_avg_confidence_5m: "Mean confidence (5 min)", techsapo_wallbounce_consensus_score: "Consensus",
      techsapo_llm_success_rate_by_provider: "Success by provider", techsapo_http_p95_response_time: "Response time, P95", techsapo_active_connections: "Active connections",
      techsapo_memory_usage_percent: "Memory used", techsapo_cpu_usage_percent: "CPU used", techsapo_wallbounce_cost_usd: "Cost since the start", techsapo_provider_cost_usd: "Cost by vendor since the start",
      techsapo_budget_utilization_percent: "Budget used", techsapo_auth_failures_total: "Refused keys", techsapo_rate_limit_hits_total: "Rate limits hit", techsapo_anomaly_requests_total: "Odd requests",
    },
    reasons: {
      split: "two answers differ", not_compared: "answers could not be compared", sole_answer: "only one answer", low_confidence: "low confidence", destructive: "cannot be undone",
      bounce_stalled: "sending back gained little", nothing_to_bounce: "nothing to send back", consensus: "low consensus", grade: "low grades",
    },
    notes: {
      split: "Two answers differ; nothing says which is right.",
      not_compared: "Grades are missing, so it could not be compared with another answer: neither agreement nor dissent.",
      not_graded: "No provider scored this answer.",
      answer_revised: "The answer was revised after it was sent back; the consensus is that of the answers before.",
      grade_below_threshold: "The other providers graded the answer too low.",
      critical_claim_contradicted: "More peers contradict its main claim than hold it.",
      destructive_not_unanimous: "It cannot be undone, and not every provider proposes it.",
      answer_addresses_graders: "The answer tries to tell its graders what to do.",
      grading_incomplete: "Some grades are missing, also when asked for again; they count for nothing and nobody.",
      refused_low_confidence: "Too unsure even with every provider that could be asked.",
      refused_for_budget: "Another provider is needed, and the budget does not allow it.",
      refused_too_few_providers: "Fewer than two providers are healthy.",
      not_heard_higher_up: "It cannot be undone, and no further provider could be asked about it.",
      out_of_time: "There was no time left to ask another provider.",
      sole_answer: "There is only one answer. It can't be compared, so it is not accepted.",
      consensus_below_threshold: "The answers agree less than the threshold asks for.",
      confidence_below_threshold: "Confidence is below the threshold.",
      fewer_providers_than_the_tier_asks_for: "There are fewer providers than this kind of analysis asks for.",
      cost_is_a_worst_case: "The price is not known; the cost is an upper bound.",
    },
    kinds: {
      timeout: "timeout", rate_limited: "rate limited", unavailable: "unavailable", refused: "refused", bad_answer: "unusable answer",
    },
    toDo: "To do", tryNext: "the next question tries it", tryIn: "s until the next try", satIn: "sits in for",
    causes: {
      key: "the API key is refused",
      money: "no credit is left at the vendor, or a spend limit is reached",
      plan: "the vendor's plan of this account does not include the model",
      model: "the vendor does not serve this model to this account",
      permission: "the key may not use this model or API",
      region: "the vendor does not serve this country or region",
      address: "the address is not that of the API",
      quota: "a quota of the day is used up",
      rate: "too many requests or tokens a minute",
      too_long: "the question is too long for the model",
      content: "the vendor refuses the question's content",
      schema: "the model does not take the schema of the answer",
      parameter: "the model does not take one of the options",
      rejected: "the call was rejected",
      budget: "the budget has no room for the call",
      overloaded: "the vendor has no capacity for this model now",
      server: "the vendor failed on its side",
      unreachable: "it can't be reached",
      timeout: "no answer in time",
      unreadable: "the reply can't be used",
      cut_off: "the answer was cut off",
    },
    remedies: {
      key: "put a valid key where `api_key` is taken from, then `techsapo up`",
      money: "add credit or raise the limit (organization, project, key) in the vendor's console",
      plan: "enable billing for the project at the vendor, or name another `model`",
      model: "check the spelling of `model`, or name one that is not retired; for a local server, load it first",
      permission: "give the key the right in the vendor's console, or take the key of another project",
      region: "send from a region that it serves, or name another provider",
      address: "check `base_url`, and whether a proxy or a login page stands in between",
      quota: "wait until the vendor's day ends, or raise the quota in its console",
      rate: "nothing where it passes; else raise the limit at the vendor, or ask this provider less",
      too_long: "shorten it, or name a model with a larger context",
      content: "word the question differently",
      schema: "nothing: it is asked in words from then on; else name a model with structured output",
      parameter: "remove or change the option that the message names in this provider's section",
      rejected: "read the vendor's words; `techsapo providers test` asks it anew",
      budget: "raise `budget` in the spec, or wait for the next day",
      overloaded: "nothing: it is tried again; at OpenRouter, see the routing options of this provider",
      server: "nothing: it is tried again; see the vendor's status page",
      unreachable: "check `base_url`, the network, DNS and the firewall of this host",
      timeout: "raise the provider's `timeout`, or lower its effort; see the vendor's status page",
      unreadable: "check that `base_url` and `kind` belong together; try another model",
      cut_off: "raise `max_output_tokens`",
    },
  },
};

const KEY = "techsapo-api-key";

function stored(key, storage = "localStorage") {
  try { return window[storage].getItem(key); } catch { return null; }
}

function store(key, value, storage = "localStorage") {
  try { window[storage].setItem(key, value); } catch { /* a private window keeps nothing; the choice lasts for this page */ }
}

const root = document.documentElement;
const asked = new URLSearchParams(location.search).get("lang");
let language = asked in WORDS ? asked : (stored("language") ?? root.dataset.locale);
if (!(language in WORDS)) language = "ja";
let apiKey = stored(KEY, "sessionStorage") ?? "";

/** The language that the reader chose for the pages; null where that is left to the stack. */
export function chosenLanguage() {
  const chosen = stored("language");
  return chosen in WORDS ? chosen : null;
}

export function word(key) {
  return WORDS[language][key] ?? key;
}

/** The text of an object with a `ja` and an `en`. */
export function local(words) {
  return words[language];
}

/** A number of the language; a dash where nobody gave one. */
export function number(value, digits) {
  if (value === null) return "–";
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A time of day has 24 hours in both languages, as on the axes. */
export function moment(date, options) {
  return date.toLocaleString(language, { hourCycle: "h23", ...options });
}

/** A moment as messages say it: to the second, with the name of the time zone, which here is the reader's. */
export function stamp(date) {
  const parts = new Intl.DateTimeFormat(language, { timeZoneName: "short" }).formatToParts(date);
  const zone = parts.find((part) => part.type === "timeZoneName").value;
  return `${date.toLocaleString("sv-SE")} ${zone}`;
}

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Headers with the reader's API key, where there is one. */
export function headers(more = {}) {
  return apiKey ? { ...more, Authorization: `Bearer ${apiKey}` } : more;
}

/** GET as JSON; an error has `status` (0 when nobody answered) and a `detail`. */
export async function get(path) {
  let response;
  try {
    response = await fetch(path, { headers: headers() });
  } catch {
    throw Object.assign(new Error(), { status: 0, detail: word("unreachable") });
  }
  const body = await response.json().catch(() => ({ detail: word("badReply") }));
  if (response.ok) return body;
  const detail = response.status === 401 || response.status === 403 ? word("keyNeeded") : (body.detail ?? "");
  throw Object.assign(new Error(), { status: response.status, detail });
}

function apply() {
  root.lang = language;
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = word(node.dataset.text);
  for (const node of document.querySelectorAll("[data-placeholder]")) node.placeholder = word(node.dataset.placeholder);
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", word(node.dataset.label));
  const toggle = document.getElementById("language");
  toggle.textContent = word("other");
  toggle.lang = language === "ja" ? "en" : "ja";
}

function applyTheme(theme) {
  if (theme) root.dataset.theme = theme;
}

function labelled(tag, text, className) {
  const made = element(tag, className);
  made.dataset.text = text;
  return made;
}

/** The bar where the API key is entered; `use` is called when there is a new one. */
function keyBar(use) {
  const bar = element("form", "keybar");
  const label = labelled("label", "key");
  label.htmlFor = "key";
  const field = Object.assign(element("input"), { type: "password", id: "key", autocomplete: "off", value: apiKey });
  bar.append(label, field, labelled("button", "keySave", "quiet"), labelled("small", "keyHint", "dim"));
  bar.addEventListener("submit", (event) => {
    event.preventDefault();
    apiKey = field.value.trim();
    store(KEY, apiKey, "sessionStorage");
    use();
  });
  document.querySelector("header").after(bar);
}

export function setUp(redraw, useKey = redraw) {
  applyTheme(stored("theme"));
  if (root.dataset.keys === "on") keyBar(useKey);
  document.getElementById("language").addEventListener("click", () => {
    language = language === "ja" ? "en" : "ja";
    store("language", language);
    apply();
    redraw();
  });
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    const theme = dark ? "light" : "dark";
    store("theme", theme);
    applyTheme(theme);
  });
  apply();
}
