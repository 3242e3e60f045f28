// Reads a .pkpass with KDE's KPkPass and prints what it understood as JSON.

#include <KPkPass/Barcode>
#include <KPkPass/Field>
#include <KPkPass/Location>
#include <KPkPass/Pass>

#include <QColor>
#include <QDateTime>
#include <QImage>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QMetaEnum>
#include <QUrl>
#include <QVector>

#include <cstdio>
#include <memory>

static QJsonArray fieldsOf(const QVector<KPkPass::Field> &fields)
{
    QJsonArray found;
    for (const auto &field : fields) {
        found.append(QJsonObject{{"key", field.key()},
                                 {"label", field.label()},
                                 {"value", QJsonValue::fromVariant(field.value())},
                                 {"changeMessage", field.changeMessage()}});
    }
    return found;
}

static QJsonArray sizesOf(const KPkPass::Pass &pass, const QString &name)
{
    QJsonArray found;
    for (unsigned int ratio = 1; ratio <= 3; ++ratio) {
        const QImage image = pass.image(name, ratio);
        found.append(QJsonArray{image.width(), image.height()});
    }
    return found;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        return 2;
    }
    const std::unique_ptr<KPkPass::Pass> pass(KPkPass::Pass::fromFile(QString::fromLocal8Bit(argv[1])));
    if (!pass) {
        std::fputs("KPkPass cannot read this file\n", stderr);
        return 1;
    }
    QJsonArray barcodes;
    for (const auto &barcode : pass->barcodes()) {
        barcodes.append(QJsonObject{{"format", QMetaEnum::fromType<KPkPass::Barcode::Format>().valueToKey(barcode.format())},
                                    {"message", barcode.message()},
                                    {"encoding", barcode.messageEncoding()},
                                    {"text", barcode.alternativeText()}});
    }
    QJsonArray locations;
    for (const auto &location : pass->locations()) {
        locations.append(QJsonArray{location.latitude(), location.longitude(), location.relevantText()});
    }
    const QJsonObject read{
        {"type", QMetaEnum::fromType<KPkPass::Pass::Type>().valueToKey(pass->type())},
        {"passType", pass->passTypeIdentifier()},
        {"serial", pass->serialNumber()},
        {"organisation", pass->organizationName()},
        {"description", pass->description()},
        {"logoText", pass->logoText()},
        {"voided", pass->isVoided()},
        {"expires", pass->expirationDate().toUTC().toString(Qt::ISODate)},
        {"ground", pass->backgroundColor().name()},
        {"text", pass->foregroundColor().name()},
        {"label", pass->labelColor().name()},
        {"service", pass->webServiceUrl().toString()},
        {"token", pass->authenticationToken()},
        {"barcodes", barcodes},
        {"locations", locations},
        {"header", fieldsOf(pass->headerFields())},
        {"primary", fieldsOf(pass->primaryFields())},
        {"row", fieldsOf(pass->secondaryFields())},
        {"back", fieldsOf(pass->backFields())},
        {"icon", sizesOf(*pass, QStringLiteral("icon"))},
        {"logo", sizesOf(*pass, QStringLiteral("logo"))},
        {"strip", sizesOf(*pass, QStringLiteral("strip"))},
    };
    std::fputs(QJsonDocument(read).toJson(QJsonDocument::Compact).constData(), stdout);
    return 0;
}
